// The door of the tracking room.
export * from "./records.ts";
