// @std/assert: assertions. The package is published only on JSR; where JSR is reachable, `export * from "jsr:@std/assert@1"`
// can replace this file.
export * from "./adapters/assert.ts";
