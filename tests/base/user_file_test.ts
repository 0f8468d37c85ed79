// A misspelt name in a file of the user's is never passed over: one line with the nearest known one, the same wherever the
// file is named.
import assert from "node:assert/strict";
import { join } from "node:path";
import { loadAttention } from "../../src/check/attention_implementation.ts";
import { withHookKeys } from "../../src/config/hook_keys.ts";
import { loadConfig } from "../../src/config/mod.ts";
import { loadTasks } from "../../src/data/task_files.ts";
import { UserError } from "../../src/base/errors.ts";
import { findModifier, loadModifiers } from "../../src/nn/user_modifier.ts";
import { exportsHooks, loadHooks } from "../../src/model/hooks.ts";

/** The error for a user's file, without its folder; undefined if it is accepted. */
async function refusal(
  source: string,
  load: (file: string) => Promise<unknown>,
): Promise<string | undefined> {
  const folder = await Deno.makeTempDir();
  try {
    const file = join(folder, "mine.ts");
    await Deno.writeTextFile(file, source);
    await load(file);
  } catch (error) {
    assert.ok(error instanceof UserError, String((error as Error).stack));
    return error.message.replaceAll(`${folder}/`, "");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const byHooks = (file: string) => exportsHooks(file);
const byKey = (file: string) => loadHooks({ hooks: { file } });
const byModifier = (file: string) =>
  loadModifiers({ block: { attention: { modifier: { file, name: "steep" } } } } as never);
const byKeys = async (file: string) => {
  const config = await loadConfig("default", []);
  await withHookKeys({ ...config, hooks: { file } } as never, "default");
};

const STEEP = "export const steep = { modifier: (x) => x };\n";

Deno.test("--hooks and hooks.file refuse a file with the same advice: the closest export, also in a file with other exports", async () => {
  const cases: [string, RegExp][] = [
    ["export const tapz = {};", /, found tapz\. Did you mean "taps"\?$/],
    ["export const taps = {}; export const freez = () => [];", /, found freez\. Did you mean "freeze"\?$/],
    [`${STEEP}export const metrix = [];`, /, found metrix\. Did you mean "metrics"\?$/],
    ["export const steep = { modifer: (x) => x };", /, found steep\. Did you mean "modifier"\?$/],
    ["export const other = 1;", /, found other\.$/],
    ["export default { taps: {} };", /, found default\. Hooks are exported by name: export const taps = /],
    ["", /, found nothing\.$/],
  ];
  for (const [source, expected] of cases) {
    const [option, key] = [await refusal(source, byHooks), await refusal(source, byKey)];
    assert.match(String(option), expected, source);
    assert.equal(option?.replace(/^--hooks/, ""), key?.replace(/^hooks\.file/, ""), source);
  }
  assert.equal(await refusal(STEEP, byHooks), undefined);
  assert.match(
    String(await refusal(STEEP, byKey)),
    /^hooks\.file: mine\.ts exports the score modifier steep and no hooks; expected --hooks mine\.ts, or model\.block\./,
  );
});

Deno.test("a misspelt key of a metric, a declared key, a modifier, a task or an attention names the closest", async () => {
  const cases: [string, (file: string) => Promise<unknown>, RegExp][] = [
    [
      'export const metrics = [{ name: "m", evry: 1, fn: () => 1 }];',
      byKey,
      /found evry\. Did you mean "every"/,
    ],
    [
      "export const keys = { share: { default: 1, mn: 0 } };",
      byKeys,
      /keys\.share: .*found mn\. Did you mean "min"/,
    ],
    [
      "export const steep = { modifier: (x) => x, table: () => ({}) };",
      byModifier,
      /found table\. .*"tables"/,
    ],
    ["export const steep = { modifer: (x) => x };", byModifier, /found modifer\. Did you mean "modifier"/],
    [
      "export const mine = { smaple: () => ({}) };",
      loadTasks,
      /mine\.ts: mine: .* found smaple\. .*"sample"/,
    ],
    [
      "export const attention = () => [];\nexport const attentionGradeint = () => ({});",
      loadAttention,
      /^mine\.ts: .* found attentionGradeint\. Did you mean "attentionGradient"\?$/,
    ],
    ["export const atention = () => [];", loadAttention, /found atention\. Did you mean "attention"/],
    [
      "export const a = { modifier: (x) => x }, b = { modifier: (x) => x };",
      findModifier,
      /one .* found a, b\.$/,
    ],
  ];
  for (const [source, load, expected] of cases) {
    assert.match(String(await refusal(source, load)), expected, source);
  }
});
