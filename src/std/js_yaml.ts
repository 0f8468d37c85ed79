// js-yaml, and its version: the one place that names the package.
export * from "npm:js-yaml@5.5.0";
