// @std/assert: assertions. The package is published on JSR alone; where that can be reached, `export * from "jsr:@std/assert@1"` is
// the one line to write here.
export * from "./adapters/assert.ts";
