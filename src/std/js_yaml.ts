// js-yaml. This file is the only place that names the package and its version.
export * from "npm:js-yaml@5.5.0";
