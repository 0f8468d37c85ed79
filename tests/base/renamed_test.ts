// Renamed exports and fields: errors give the new name, which exists.
import assert from "node:assert/strict";
import project from "../../deno.json" with { type: "json" };
import { thrownBy, UserError } from "../../src/base/errors.ts";
import { NAMESPACES, RENAMED, RENAMED_FIELDS } from "../../src/base/renamed.ts";
import { provideHeed } from "../../src/base/running_heed.ts";
import { checkSample } from "../../src/data/synthetic.ts";
import * as heed from "../../mod.ts";

const ROOT = new URL("../../", import.meta.url);

/** Names and kinds of the exports of entry points, including types. */
async function exported(doors: readonly string[]): Promise<Map<string, string>> {
  const args = ["doc", "--json", ...doors];
  const { stdout } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT.pathname, stdin: "null" })
    .output();
  const nodes: Record<string, { symbols: { name: string; declarations: { kind: string }[] }[] }> =
    JSON.parse(new TextDecoder().decode(stdout)).nodes;
  const symbols = Object.values(nodes).flatMap(({ symbols }) => symbols);
  return new Map(symbols.map(({ name, declarations: [{ kind }] }) => [name, kind]));
}

Deno.test("every renamed export is exported only under its new name, and CHANGELOG.md has both", async () => {
  const names = await exported(Object.values(project.exports));
  const changes = await Deno.readTextFile(new URL("CHANGELOG.md", ROOT));
  const rows = changes.split("\n").filter((line) => line.startsWith("| "));
  for (const [old, now] of Object.entries(RENAMED)) {
    assert.ok(names.has(now) && !names.has(old), `${old}: ${now}`);
    assert.ok(rows.some((row) => row.includes(`\`${old}\``) && row.includes(now)), `CHANGELOG.md: ${old}`);
  }
  const spaces = [...await exported(["mod.ts"])].filter(([, kind]) => kind === "namespace").map(([name]) =>
    name
  );
  assert.deepEqual([...NAMESPACES].sort(), spaces.sort());
});

Deno.test("a renamed field of a sample or of options gives one line with the new name", async () => {
  const now = Object.values(RENAMED_FIELDS).map((name) => `\`${name}\``);
  const changes = await Deno.readTextFile(new URL("CHANGELOG.md", ROOT));
  assert.deepEqual(now.filter((name) => !changes.includes(name)), []);
  const sweep = await heed.loadSweep("copy", ["optimizer.lr=[1,2]"]);
  const callbacks = { ended: () => {} } as heed.SweepCallbacks;
  await assert.rejects(
    heed.runSweep(sweep, callbacks),
    new heed.UserError("runSweep: ended is now onRunEnd."),
  );
  assert.throws(
    () => checkSample("mine.ts: double", { text: "a=a", answerFrom: 2 }),
    new UserError("mine.ts: double: answerFrom is now answerStart."),
  );
});

Deno.test("a call of an old name of `import * as heed` gives one line with the new one", () => {
  provideHeed(heed);
  const messageOf = (call: () => unknown) => {
    try {
      call();
    } catch (error) {
      return `${thrownBy("mine.ts: taps", error)}`;
    }
  };
  const old = { heed: heed as unknown as Record<string, () => void> };
  const called = new Function("heed", "name", "return name === 0 ? heed.keyPadding() : heed.nothing()");
  assert.equal(
    messageOf(() => called(old.heed, 0)),
    "UserError: mine.ts: taps: heed.keyPadding is heed.masks.keyPaddingMask now.",
  );
  assert.match(
    messageOf(() => called(old.heed, 1))!,
    /^UserCodeError: mine.ts: taps threw TypeError: heed.nothing is not a function/,
  );
});
