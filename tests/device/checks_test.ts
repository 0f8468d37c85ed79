// What both devices reject with the same message, and that they still work afterwards.
import assert from "node:assert/strict";
import { add, scale } from "../../kernels/elementwise/op.ts";
import { input, state } from "../../src/graph/structure.ts";
import { everyDevice, fresh } from "./devices.ts";

Deno.test("a program that gives a state another shape is rejected with both shapes, and the device still works", () =>
  everyDevice(async (device, where) => {
    const name = fresh("w");
    using first = await device.compile({ outputs: { y: scale(state(name, [64]), 2) } });
    for (const shape of [[6400], [8, 8]]) {
      await assert.rejects(
        () => device.compile({ outputs: { y: scale(state(name, shape), 2) } }),
        (error: Error) => error.message === `State ${name} is f32[64], not f32[${shape.join(", ")}].`,
        where,
      );
    }
    await assert.rejects(() => device.compile({ outputs: { w: state(name, [64], "u32") } }), /not u32\[64\]/);
    device.define(name, { shape: [64], dtype: "f32" }, new Float32Array(64).fill(4));
    first.run();
    assert.equal((await first.read(["y"]))[0][63], 8, where);
  }));

Deno.test("a rejected program creates none of its other states", () =>
  everyDevice(async (device, where) => {
    const [held, other] = [fresh("w"), fresh("v")];
    device.define(held, { shape: [4], dtype: "f32" });
    const graph = { outputs: { y: add(state(other, [5]), state(held, [5])) } };
    await assert.rejects(() => device.compile(graph), /is f32\[4\], not f32\[5\]/);
    await assert.rejects(() => device.read([other]), /No state is named/, where);
  }));

Deno.test("define() rejects another shape, and values that do not fill the state", () =>
  everyDevice((device, where) => {
    const name = fresh("w");
    device.define(name, { shape: [4], dtype: "f32" });
    assert.throws(
      () => device.define(name, { shape: [5], dtype: "f32" }),
      /is f32\[4\], not f32\[5\]/,
      where,
    );
    for (const length of [3, 5]) {
      assert.throws(
        () => device.define(name, { shape: [4], dtype: "f32" }, new Float32Array(length)),
        (error: Error) => error.message === `State ${name} has ${length} values, expected 4 for f32[4].`,
        where,
      );
    }
    return Promise.resolve();
  }));

Deno.test("an input that is missing or of another length is rejected by name before anything is uploaded or run", () =>
  everyDevice(async (device, where) => {
    const y = add(input("x", [2]), input("offset", [2]));
    using program = await device.compile({ outputs: { y, x: input("x", [2]) } });
    const good = { x: Float32Array.of(1, 2), offset: Float32Array.of(10, 20), unused: Float32Array.of(1) };
    program.run(good);
    const refused = (feeds: Record<string, Float32Array>, message: RegExp) =>
      assert.throws(() => program.run(feeds), message, where);
    refused({ x: Float32Array.of(5, 5) }, /^Error: Input offset was not given, expected f32\[2\]\.$/);
    refused({}, /Input x was not given/);
    for (const length of [1, 3]) {
      const offset = new Float32Array(length);
      refused(
        { x: Float32Array.of(5, 5), offset },
        new RegExp(`Input offset has ${length} values, expected 2`),
      );
    }
    assert.deepEqual((await program.read(["y", "x"])).map((v) => [...v]), [[11, 22], [1, 2]], where);
  }));

Deno.test("reading an unknown name rejects with it, the nearest name and all names", () =>
  everyDevice(async (device, where) => {
    using program = await device.compile({
      outputs: { loss: scale(input("x", [1]), 2), logits: input("x", [1]) },
    });
    await assert.rejects(
      () => program.read(["loss", "los"]),
      /^Error: No output of this program is named "los"\. Did you mean "loss"\? Known: loss, logits\.$/,
      where,
    );
    await assert.rejects(
      () => program.read(["momentum"]),
      /^Error: No output of this program is named "momentum"\. Known: loss, logits\.$/,
    );
    const name = fresh("held");
    device.define(name, { shape: [1], dtype: "f32" });
    await assert.rejects(() => device.read(["absent"]), (error: Error) => {
      return error.message.startsWith('No state is named "absent".') && error.message.includes(name);
    }, where);
    using effects = await device.compile({ effects: [state(name, [1])] });
    await assert.rejects(() => effects.read(["y"]), /"y": there are none/);
  }));

Deno.test("a closed program can neither run nor be read, and its device still works", () =>
  everyDevice(async (device, where) => {
    const graph = { outputs: { y: scale(input("x", [1]), 2) } };
    const program = await device.compile(graph);
    program[Symbol.dispose]();
    program[Symbol.dispose]();
    assert.throws(() => program.run({ x: Float32Array.of(1) }), /This program is closed/, where);
    await assert.rejects(() => program.read(["y"]), /This program is closed/, where);
    using other = await device.compile(graph);
    other.run({ x: Float32Array.of(4) });
    assert.equal((await other.read(["y"]))[0][0], 8, where);
  }));
