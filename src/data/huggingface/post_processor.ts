// Post-processors put special tokens around a text. heed puts none there, so a post-processor must leave the others alone.
import { componentOf, componentsOf, type Fields, isObject, type Makers, refuse } from "./fields.ts";

/** A template of one text is that text once, whatever stands around it. */
function template(fields: Fields): void {
  const texts = fields.list("single").filter((part) => isObject(part) && part.Sequence !== undefined);
  const ids = texts.map((part) => (part as { Sequence: { id?: unknown } }).Sequence?.id);
  if (ids.length !== 1 || ids[0] !== "A") {
    refuse(fields.at("single"), fields.any("single"), "one Sequence A and special tokens");
  }
  fields.ignore("pair", "special_tokens");
}

const MAKERS: Makers<void> = {
  TemplateProcessing: template,
  BertProcessing: (fields) => fields.ignore("sep", "cls"),
  RobertaProcessing: (fields) => fields.ignore("sep", "cls", "trim_offsets", "add_prefix_space"),
  ByteLevel: (fields) => fields.ignore("add_prefix_space", "trim_offsets", "use_regex"),
  Sequence: (fields) => void componentsOf(fields, "processors", MAKERS),
};

/** @internal Refuses a post-processor that would change the ids of a text without special tokens. */
export function checkPostProcessor(value: unknown): void {
  if ((value ?? null) !== null) componentOf(value, "post_processor", MAKERS);
}
