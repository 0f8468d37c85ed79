// Re-exports dagre. No other file names the package and its version.
export { default } from "npm:@dagrejs/dagre@3.1.3";
