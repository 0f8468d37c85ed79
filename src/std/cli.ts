// @std/cli: `parseArgs`. The package is published on JSR alone; where that can be reached, `export * from "jsr:@std/cli@1"` is
// the one line to write here.
export * from "./adapters/cli.ts";
