// Expressions as text: their meaning, printing and parsing back to the same tree, their gradients, and that a broken one is
// an error of one line with the column.
import assert from "node:assert/strict";
import { derivative, type Expression, toFunction } from "../../kernels/expression/expression.ts";
import { type ExpressionNames, formatExpression, parseExpression } from "../../kernels/expression/text.ts";
import { modifier } from "../../kernels/attention/modifier.ts";
import { elementwise } from "../../kernels/elementwise/op.ts";
import { randomStream } from "../../src/base/random.ts";
import { UserError } from "../../src/base/errors.ts";
import { input, state } from "../../src/graph/structure.ts";
import { built, treeOf } from "./expression_trees.ts";

const valueOf = (text: string, values: Record<string, number> = {}) =>
  toFunction(parseExpression(text), Object.keys(values))(...Object.values(values));

const errorOf = (text: string, names?: ExpressionNames): string => {
  try {
    parseExpression(text, names);
  } catch (error) {
    assert.ok(error instanceof UserError, `${text}: ${(error as Error).stack}`);
    return error.message;
  }
  return "";
};

Deno.test("2,000 random expressions print and parse back to the same tree", () => {
  const random = randomStream(1, "texts");
  const tables = { table: [3, 5] };
  for (let n = 0; n < 2000; n++) {
    const tree = built(treeOf(random, 1 + n % 6, () => {}));
    const text = formatExpression(tree);
    assert.deepEqual(parseExpression(text, { tables }), tree, text);
    // Printing is stable, and redundant parentheses change nothing.
    assert.equal(formatExpression(parseExpression(`(${text})`, { tables })), text);
  }
});

Deno.test("operators and functions mean the same as in JavaScript, precedence and associativity included", () => {
  const texts = [
    "x - y - z",
    "x - (y - z)",
    "x / y / z",
    "x / (y * z)",
    "-x * y + z",
    "x * -y",
    "- - x",
    "2 ** y ** 2",
    "(2 ** 3) ** 2",
    "x < y == z < y",
    "x < y && y < z || z < x",
    "!(x < y) || z >= x && x != y",
    "x > y ? x : y > z ? y : z",
    "(x > y ? 1 : 2) + (y <= z ? 10 : 20)",
    "x + 1e-3 + .5 + 2.",
    "+x - +y",
  ];
  const random = randomStream(2, "values");
  for (const text of texts) {
    const reference = new Function("x", "y", "z", `return Number(${text});`);
    for (let n = 0; n < 20; n++) {
      const [x, y, z] = Array.from({ length: 3 }, () => n % 2 ? random.below(4) : random.normal());
      const actual = valueOf(text, { x, y, z });
      // && and || give 1 or 0 where JavaScript gives an operand.
      const expected = reference(x, y, z);
      assert.ok(
        Math.abs(actual - expected) <= 1e-12 * Math.abs(expected) || Object.is(actual, expected),
        `${text}: ${actual}`,
      );
    }
  }
  const functions: [string, number][] = [
    ["pow(x, 3)", 8],
    ["x ** 0.5", Math.SQRT2],
    ["x ** 1.5", 2 ** 1.5],
    ["x ** -2", 0.25],
    ["x ** 0.3", 2 ** 0.3],
    ["(-x) ** 3", -8],
    ["pow(x, x)", 4],
    ["min(x, 1, 3)", 1],
    ["max(0, x, 5)", 5],
    ["clamp(x, 0, 1)", 1],
    ["where(x > 1, 7, 8)", 7],
    ["ceil(x / 3) + round(x / 3) + floor(x / 3)", 2],
    ["sign(-x) + abs(-x) + relu(-x)", 1],
    ["exp(log(x)) + sqrt(x * x) + tanh(0) + sigmoid(0) + erf(0)", 4.5],
    ["pi", Math.PI],
    ["-Infinity", -Infinity],
    ["NaN", NaN],
  ];
  for (const [text, expected] of functions) {
    const actual = valueOf(text, { x: 2 });
    assert.ok(Object.is(actual, expected) || Math.abs(actual - expected) < 1e-12, `${text} is ${actual}`);
  }
});

Deno.test("the derivative of a parsed expression equals central differences", () => {
  const texts = [
    "score - slope[h] * (i - j)",
    "30 * tanh(score / 30)",
    "score * exp(tau)",
    "max(0, score) ** 2",
    "score ** 3 - pow(abs(score), 1.5)",
    "where(score > 0.1, log(1 + score), score / 2)",
    "score > 0 && i > j ? sigmoid(score) * erf(score) : sqrt(1 + score ** 2)",
    "clamp(score, -1, 1) + bias[h, i - j]",
    "pow(2 + score, 2.3)",
  ];
  const tables = { slope: [2], bias: [2, 4], tau: [1] };
  const arrays = [[0.5, 0.25], [1, 2, 3, 4, 5, 6, 7, 8], [0.3]];
  const names = ["score", "b", "h", "i", "j"];
  for (const text of texts) {
    const e = parseExpression(text, { variables: names, tables });
    const all = [...names, ...Object.keys(tables)];
    const [f, slope] = [e, derivative(e, "score")].map((x: Expression) => toFunction(x, all));
    for (const score of [-1.7, -0.6, 0.37, 0.8, 1.9]) {
      const at = (s: number) => f(s, 0, 1, 3, 1, ...arrays);
      const difference = (at(score + 1e-5) - at(score - 1e-5)) / 2e-5;
      const actual = slope(score, 0, 1, 3, 1, ...arrays);
      assert.ok(
        Math.abs(actual - difference) < 1e-7 * Math.max(1, Math.abs(actual)),
        `${text} at ${score}: ${actual}`,
      );
    }
  }
});

Deno.test("a broken expression is an error of one line with the column and the nearest name", () => {
  const names = {
    variables: ["score", "i", "j"],
    tables: { slope: [4], bias: [4, 8], tau: [1] },
    what: "modifier",
  };
  const line = (text: string, column: number, message: string) =>
    assert.equal(errorOf(text, names), `modifier: ${JSON.stringify(text)}, column ${column}: ${message}`);
  line("score - slpe[0]", 9, 'unknown table "slpe". Did you mean "slope"?');
  line("scor + 1", 1, 'unknown variable "scor". Did you mean "score"?');
  line("score + tahn(i)", 9, 'unknown function "tahn". Did you mean "tanh"?');
  line("score +", 8, "expected a number, a name or (, found the end.");
  line("score + * 2", 9, 'expected a number, a name or (, found "*".');
  line("(score", 7, 'expected ")", found the end.');
  line("score score", 7, 'expected an operator or the end, found "score".');
  line("score ^ 2", 7, 'unexpected "^"; a power is x ** y or pow(x, y).');
  line("i = j", 3, 'unexpected "="; equal is ==.');
  line("bias[i]", 1, "table bias has 2 dimensions, found 1 indices.");
  line("score + bias", 9, "table bias is [4, 8], expected an entry of it, bias[...].");
  line("max(1)", 1, "max takes 2 or more arguments, found 1.");
  line("exp(i, j)", 1, "exp takes 1 arguments, found 2.");
  line("i ? j", 6, 'expected ":", found the end.');
  line("", 1, "expected a number, a name or (, found the end.");
  assert.match(errorOf("(".repeat(1000)), /column 201: nested more than 200 deep\.$/);
  assert.match(errorOf("1+".repeat(6000)), /at most 4000 characters, found 12000\.$/);
  assert.equal(formatExpression(parseExpression("score * tau", names)), "score * tau[0]");
});

Deno.test("each of 500 randomly broken texts is an expression or an error of one line with a column", () => {
  const random = randomStream(3, "broken");
  const valid = "max(0, score) - slope[h] * (i - j) ** 2 + (j <= i && !(i == j) ? 1e-3 : tanh(score / 30))";
  const names = { variables: ["score", "h", "i", "j"], tables: { slope: [4] } };
  const alphabet = [..."()[]?:,+-*/<>=!&|^ .0123456789eijhscorx_$\"'\\\n\0é"];
  let broken = 0;
  for (let n = 0; n < 500; n++) {
    const letters = [...valid];
    for (let k = 0; k <= random.below(3); k++) {
      const at = random.below(letters.length);
      letters.splice(
        at,
        random.below(3),
        ...Array.from({ length: random.below(3) }, () => alphabet[random.below(alphabet.length)]),
      );
    }
    const message = errorOf(letters.join(""), names);
    if (message === "") continue;
    broken++;
    assert.match(message, /^expression: ".*", column \d+: [^\n]+\.$|\?$/);
    assert.ok(!message.includes("\n") && message.length < 500, message);
  }
  assert.ok(broken > 300, `${broken} broken`);
});

Deno.test("modifiers, masks and element-wise operations accept texts", () => {
  const slope = state("slope", [4]);
  assert.deepEqual(
    modifier("score - slope[h] * (i - j)", { slope }).expression,
    parseExpression("score - slope[h] * (i - j)", { tables: { slope: [4] } }),
  );
  assert.throws(
    () => modifier("score - slope[k]", { slope }),
    /^UserError: modifier: .*, column 15: unknown variable "k"/,
  );
  assert.throws(
    () => elementwise("max(0, y)", { x: input("x", [2]) }),
    /elementwise: .*, column 8: unknown variable "y"/,
  );
});
