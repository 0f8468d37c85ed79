// The path of trusted.json.
import assert from "node:assert/strict";
import { trustedPath } from "../../src/model/trust.ts";

Deno.test("trusted.json is in the user's data folder, never in a relative one", () => {
  const path = (env: Record<string, string | undefined>, os: typeof Deno.build.os = "linux") =>
    trustedPath((name) => env[name], os);
  assert.equal(path({ XDG_DATA_HOME: "/data", HOME: "/home/a" }), "/data/heed/trusted.json");
  assert.equal(path({ XDG_DATA_HOME: "data", HOME: "/home/a" }), "/home/a/.local/share/heed/trusted.json");
  assert.equal(path({ HOME: "/home/a" }), "/home/a/.local/share/heed/trusted.json");
  assert.equal(path({ APPDATA: "/app", HOME: "/home/a" }, "windows"), "/app/heed/trusted.json");
  for (const env of [{}, { HOME: "" }, { HOME: "." }, { XDG_DATA_HOME: ".", HOME: "home" }]) {
    assert.throws(() => path(env), /^UserError: trusted\.json: neither XDG_DATA_HOME nor HOME is the path/);
  }
});
