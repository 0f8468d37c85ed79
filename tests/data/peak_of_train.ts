// Runs scripts/train.ts on its arguments and prints the most memory that was resident, in bytes, as its last line.
import { installPeak } from "./peak_memory.ts";

installPeak();
await import("../../scripts/train.ts");
