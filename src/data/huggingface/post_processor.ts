// Post-processors add special tokens around a text. heed adds none, so a post-processor must not change other tokens;
// the first token it adds is used in place of an empty prompt.
import { componentOf, componentsOf, type Fields, isObject, type Makers, refuse } from "./fields.ts";

/** The template for one text must contain the text once, with any special tokens around it. */
function template(fields: Fields): string | undefined {
  const single = fields.list("single");
  const texts = single.filter((part) => isObject(part) && part.Sequence !== undefined);
  const ids = texts.map((part) => (part as { Sequence: { id?: unknown } }).Sequence?.id);
  if (ids.length !== 1 || ids[0] !== "A") {
    refuse(fields.at("single"), fields.any("single"), "one Sequence A and special tokens");
  }
  fields.ignore("pair", "special_tokens");
  const [before] = single as { SpecialToken?: { id?: unknown } }[];
  return textOf(before?.SpecialToken?.id);
}

const textOf = (value: unknown): string | undefined => typeof value === "string" ? value : undefined;

function classToken(fields: Fields): string | undefined {
  const cls = fields.any("cls");
  return Array.isArray(cls) ? textOf(cls[0]) : undefined;
}

const MAKERS: Makers<string | undefined> = {
  TemplateProcessing: template,
  BertProcessing: (fields) => {
    fields.ignore("sep");
    return classToken(fields);
  },
  RobertaProcessing: (fields) => {
    fields.ignore("sep", "trim_offsets", "add_prefix_space");
    return classToken(fields);
  },
  ByteLevel: (fields) => void fields.ignore("add_prefix_space", "trim_offsets", "use_regex"),
  Sequence: (fields) => componentsOf(fields, "processors", MAKERS).find((token) => token !== undefined),
};

/**
 * @internal Returns the token that a post-processor adds before a text, or undefined if there is none. Refuses a post-processor
 * that would change tokens other than the special tokens around a text.
 */
export function firstToken(value: unknown): string | undefined {
  return (value ?? null) === null ? undefined : componentOf(value, "post_processor", MAKERS);
}
