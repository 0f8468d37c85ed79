// @std/cli: `parseArgs`. The package is published only on JSR; where JSR is reachable, `export * from "jsr:@std/cli@1"` can
// replace this file.
export * from "./adapters/cli.ts";
