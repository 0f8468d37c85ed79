// js-yaml, and its version: the one place that names the package.
export { CORE_SCHEMA, dump, load, loadAll, mergeTag, YAMLException } from "npm:js-yaml@5.5.0";
