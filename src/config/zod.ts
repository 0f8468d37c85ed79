// The only place that names the package zod and its version.
export { z } from "npm:zod@4.6.7";
