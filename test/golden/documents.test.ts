// What `npm run gen` writes besides the goldens is what is committed.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import * as compile from "../../compiler/compile.ts";
import * as functions from "../../compiler/formula/functions.ts";
import * as jsonSchema from "../../compiler/spec/json-schema.ts";
import * as read from "../../compiler/spec/read.ts";
import * as schema from "../../compiler/spec/schema.ts";
import * as shape from "../../compiler/spec/shape.ts";
import * as words from "../../compiler/spec/words.ts";
import { documents, modules } from "../../docs/generate.mjs";

const parts = { schema, shape, words, functions, jsonSchema, read, compile };

test("every part of the compiler that the documents need is given", () => {
  expect(Object.keys(parts).sort()).toEqual(Object.keys(modules).sort());
});

test.each([...documents(parts)])("%s is what `npm run gen` writes", (path, text) => {
  expect(text.length).toBeGreaterThan(5000);
  expect(text).toBe(readFileSync(path, "utf8"));
});
