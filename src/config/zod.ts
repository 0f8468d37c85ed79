// zod, and its version: the one place that names the package.
export { z } from "npm:zod@4.6.7";
