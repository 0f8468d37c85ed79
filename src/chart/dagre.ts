// dagre, and its version: the one place that names the package.
export { default } from "npm:@dagrejs/dagre@3.1.3";
