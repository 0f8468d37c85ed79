// @std/yaml: `parse` and `stringify`. The package is published only on JSR; where JSR is reachable,
// `export * from "jsr:@std/yaml@1"` can replace this file.
export * from "./adapters/yaml.ts";
