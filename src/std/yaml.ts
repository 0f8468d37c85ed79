// @std/yaml: `parse` and `stringify`. The package is published on JSR alone; where that can be reached, `export * from "jsr:@std/yaml@1"` is
// the one line to write here.
export * from "./adapters/yaml.ts";
