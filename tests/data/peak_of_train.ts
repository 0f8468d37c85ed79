// Runs scripts/train.ts with its arguments and prints the peak resident memory in bytes as its last line.
import { installPeak } from "./peak_memory.ts";

installPeak();
await import("../../scripts/train.ts");
