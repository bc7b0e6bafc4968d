import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CorpusOptions, checkSameFiles, readCorpus } from "../../runtime/data/corpus.ts";
import { readDocuments } from "../../runtime/data/documents.ts";
import { findFiles } from "../../runtime/data/glob.ts";
import { openTokenizer } from "../../runtime/data/tokenizer.ts";
import { nodeDisk } from "../../runtime/files/node-disk.ts";

let base: string;

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), "mspec-data-"));
});
afterAll(() => rm(base, { recursive: true }));

async function put(path: string, content: string | Uint8Array): Promise<string> {
  const full = `${base}/${path}`;
  await mkdir(dirname(full), { recursive: true });
  await writeFile(full, content);
  return full;
}

describe("patterns", () => {
  beforeAll(async () => {
    for (const name of [
      "a.txt",
      "b.txt",
      "b.md",
      ".hidden.txt",
      "sub/c.txt",
      "sub/deep/d.txt",
      "sub/deep/e1.jsonl",
      "sub/.x/f.txt",
      "other/g+(1).txt",
      "other/{h}.txt",
    ]) {
      await put(`glob/${name}`, "x");
    }
    await symlink("..", `${base}/glob/sub/up`);
    await symlink("sub", `${base}/glob/linked`);
    await symlink("a.txt", `${base}/glob/z-link.txt`);
    await mkdir(`${base}/circle`);
    await symlink("round", `${base}/circle/round`);
  });

  it.each([
    ["*.txt", "a.txt b.txt z-link.txt"],
    ["?.txt", "a.txt b.txt"],
    ["./*.txt", "a.txt b.txt z-link.txt"],
    [".*.txt", ".hidden.txt"],
    ["*.{txt,md}", "a.txt b.md b.txt z-link.txt"],
    ["{a,sub/{c,deep/d}}.txt", "a.txt sub/c.txt sub/deep/d.txt"],
    ["**/*.txt", "a.txt b.txt other/g+(1).txt other/{h}.txt sub/c.txt sub/deep/d.txt z-link.txt"],
    ["sub/**", "sub/c.txt sub/deep/d.txt sub/deep/e1.jsonl"],
    ["**/deep/*", "sub/deep/d.txt sub/deep/e1.jsonl"],
    ["sub/**/deep/**/*.txt", "sub/deep/d.txt"],
    ["s?b/*.txt", "sub/c.txt"],
    ["linked/*.txt", "linked/c.txt"],
    ["l*/*.txt", "linked/c.txt"],
    ["*/e1.jsonl", ""],
    ["*/deep/e1.jsonl", "linked/deep/e1.jsonl sub/deep/e1.jsonl"],
    ["other/*(1).txt", "other/g+(1).txt"],
    ["other/{h", "other/{h"],
    ["a.txt/*", ""],
    ["nowhere/*.txt", ""],
    ["missing.txt", "missing.txt"],
  ])("%s finds %s", async (pattern, expected) => {
    const found = await findFiles(nodeDisk, `${base}/glob`, [pattern]);
    expect(found.map((path) => path.slice(base.length + "/glob/".length)).join(" ")).toBe(expected);
  });

  it("find each file once, sorted, absolute ones too", async () => {
    const found = await findFiles(nodeDisk, "/nowhere", [
      `${base}/glob/b.txt`,
      `${base}/glob/?.txt`,
      `${base}/glob/a*`,
    ]);
    expect(found).toEqual([`${base}/glob/a.txt`, `${base}/glob/b.txt`]);
  });

  it("tell of links that go round in a circle", async () => {
    await expect(findFiles(nodeDisk, `${base}/circle`, ["r*"])).rejects.toMatchObject({ code: "disk/link-loop" });
  });
});

async function documentsOf(path: string, skipBadLines = false): Promise<{ texts: string[]; skipped: number }> {
  const texts: string[] = [];
  const { skippedLines } = await readDocuments(nodeDisk, path, { skipBadLines }, (text) => void texts.push(text));
  return { texts, skipped: skippedLines };
}

describe("documents", () => {
  it("are whole .txt files, with their line ends and without a byte order mark", async () => {
    expect((await documentsOf(await put("crlf.txt", "\ufeffone\r\ntwo"))).texts).toEqual(["one\r\ntwo"]);
    expect((await documentsOf(await put("empty.txt", ""))).texts).toEqual([]);
  });

  it("are the lines of .jsonl files, with any line ends, blank lines and a byte order mark", async () => {
    const path = await put("good.jsonl", '\ufeff{"text":"a\\nb"}\r\n\n  \r\n{"id":1,"text":""}\n{"text":"last"}');
    expect((await documentsOf(path)).texts).toEqual(["a\nb", "last"]);
  });

  it.each([
    ["no JSON", "nope", "is not valid JSON"],
    ["half an object", '{"text":"a', "JSON"],
    ["no text", '{"txt":"a"}', "it has no `text`"],
    ["a null", '{"text":null}', "its `text` is null"],
    ["a number", '{"text":5}', "its `text` is a number"],
    ["a list", '["a"]', "it is no JSON object"],
    ["bytes that are no UTF-8", new Uint8Array([0x22, 0xff, 0x22]), "not valid"],
  ])("with %s on a line stop the run at file and line, or are counted", async (_, line, reason) => {
    const encoder = new TextEncoder();
    const bytes = typeof line === "string" ? encoder.encode(line) : line;
    const path = await put(
      "bad.jsonl",
      new Uint8Array([...encoder.encode('{"text":"a"}\n\n'), ...bytes, ...encoder.encode('\n{"text":"b"}')]),
    );
    await expect(documentsOf(path)).rejects.toMatchObject({ code: "data/bad-line", at: `${path}:3`, kind: "input" });
    await expect(documentsOf(path)).rejects.toThrow(reason);
    expect(await documentsOf(path, true)).toEqual({ texts: ["a", "b"], skipped: 1 });
  });

  it("on a line of 100 MB are refused in bounded memory", async () => {
    const line = new Uint8Array(100 << 20).fill(0x61);
    line.set(new TextEncoder().encode('{"text":"a"}\n{"text":"'));
    line[line.length - 2] = 0x0a;
    line[line.length - 1] = 0x7b;
    const path = await put("long.jsonl", line);
    const before = process.memoryUsage().rss;
    await expect(documentsOf(path)).rejects.toMatchObject({ code: "data/bad-line", at: `${path}:2` });
    expect(process.memoryUsage().rss - before).toBeLessThan(200 << 20);
    expect(await documentsOf(path, true)).toEqual({ texts: ["a"], skipped: 2 });
    await rm(path);
  });

  it.each([
    [new Uint8Array([0x61, 0xff, 0x62]), 1],
    [new Uint8Array([0x61, 0xc3, 0x28]), 2],
    [new Uint8Array([0x61, 0x62, 0xe6, 0x97]), 4],
  ])("that are no UTF-8 are refused at the byte", async (bytes, at) => {
    const path = await put("latin.txt", bytes);
    await expect(documentsOf(path)).rejects.toMatchObject({ code: "data/not-utf8", at: `${path} @byte ${at}` });
  });

  it("in files of another kind, folders, devices and missing files are refused", async () => {
    await expect(documentsOf(await put("x.md", "x"))).rejects.toMatchObject({ code: "data/unknown-kind" });
    await expect(documentsOf(`${base}/none.txt`)).rejects.toMatchObject({ code: "data/missing-file", kind: "input" });
    await mkdir(`${base}/folder.txt`);
    await expect(documentsOf(`${base}/folder.txt`)).rejects.toMatchObject({ code: "data/not-a-file" });
    await symlink("/dev/zero", `${base}/zero.txt`);
    await expect(documentsOf(`${base}/zero.txt`)).rejects.toMatchObject({ code: "data/not-a-file" });
  });
});

const bytes = openTokenizer("bytes", "bytes");

function options(edit: Partial<CorpusOptions>): CorpusOptions {
  return { base, train: ["corpus/*.txt"], validation: 0, skipBadLines: false, seed: 1, vocab: 256, ...edit };
}

const textOf = (tokens: Int32Array): string => bytes.decode(tokens);

describe("a corpus", () => {
  beforeAll(async () => {
    for (let i = 0; i < 20; i++)
      await put(`corpus/${String(i).padStart(2, "0")}.txt`, `document ${i}. `.repeat(1 + (i % 3)));
    await put("corpus/more.jsonl", '{"text":"one"}\nbad\n{"text":"two"}\n');
  });

  it("is the files' documents in the order of their paths", async () => {
    const corpus = await readCorpus(
      nodeDisk,
      bytes,
      options({
        train: ["corpus/more.jsonl", "corpus/00.txt"],
        skipBadLines: true,
      }),
    );
    expect(textOf(corpus.train.tokens)).toBe("document 0. onetwo");
    expect([...corpus.train.documentStarts]).toEqual([0, 12, 15]);
    expect(corpus.skippedLines).toBe(1);
    expect(corpus.files.map((file) => [file.path.slice(base.length), file.bytes])).toEqual([
      ["/corpus/00.txt", 12],
      ["/corpus/more.jsonl", 34],
    ]);
    expect(corpus.validation.tokens).toHaveLength(0);
  });

  it("has the end of text behind every document when the tokenizer has one", async () => {
    const withEnd = { ...bytes, vocab: 257, endOfText: 256 };
    const corpus = await readCorpus(nodeDisk, withEnd, options({ train: ["corpus/0?.txt"], vocab: 257 }));
    const { tokens, documentStarts } = corpus.train;
    const ends = [...tokens.keys()].filter((at) => tokens[at] === 256);
    expect(ends.map((at) => at + 1)).toEqual([...documentStarts.slice(1), tokens.length]);
    expect(documentStarts).toHaveLength(10);
  });

  it("leaves out documents that have no tokens", async () => {
    const deaf = { ...bytes, encode: (text: string) => (text === "one" ? new Int32Array(0) : bytes.encode(text)) };
    const corpus = await readCorpus(nodeDisk, deaf, options({ train: ["corpus/more.jsonl"], skipBadLines: true }));
    expect([...corpus.train.documentStarts]).toEqual([0]);
    expect(textOf(corpus.train.tokens)).toBe("two");
  });

  it("sets whole documents aside, near the fraction, by the seed alone", async () => {
    const sizes = async (validation: number, seed: number): Promise<[number, string]> => {
      const { train, validation: held } = await readCorpus(nodeDisk, bytes, options({ validation, seed }));
      expect(train.documentStarts.length + held.documentStarts.length).toBe(20);
      const documents = textOf(held.tokens).match(/document \d+\. /g) ?? [];
      for (const document of new Set(documents)) expect(textOf(train.tokens)).not.toContain(document);
      return [held.tokens.length / (train.tokens.length + held.tokens.length), textOf(held.tokens)];
    };
    for (const fraction of [0.01, 0.1, 0.3, 0.5, 0.999]) {
      const [share] = await sizes(fraction, 7);
      expect(Math.abs(share - fraction)).toBeLessThan(0.06);
    }
    expect(await sizes(0.3, 7)).toEqual(await sizes(0.3, 7));
    expect((await sizes(0.3, 8))[1]).not.toBe((await sizes(0.3, 7))[1]);
  });

  it("of one document gives its end to validation", async () => {
    const { train, validation } = await readCorpus(
      nodeDisk,
      bytes,
      options({ train: ["corpus/02.txt"], validation: 0.25 }),
    );
    expect(textOf(train.tokens)).toBe("document 2. document 2. doc");
    expect(textOf(validation.tokens)).toBe("ument 2. ");
  });

  it("takes validation from files of their own and counts documents that are in both", async () => {
    await put("own/a.txt", "held out");
    await put("own/b.txt", "document 5. document 5. document 5. ");
    const corpus = await readCorpus(nodeDisk, bytes, options({ validation: ["own/*.txt"] }));
    expect(textOf(corpus.validation.tokens)).toBe("held outdocument 5. document 5. document 5. ");
    expect(corpus.train.documentStarts).toHaveLength(20);
    expect(corpus.warnings).toEqual([
      expect.stringContaining("1 of the 2 validation documents also stand in the training data"),
    ]);
    expect(corpus.files).toHaveLength(22);
  });

  it("without a matching file is refused with the patterns and the folder", async () => {
    const read = readCorpus(nodeDisk, bytes, options({ train: ["nothing/*.txt"] }));
    await expect(read).rejects.toMatchObject({ code: "data/no-files", at: "nothing/*.txt" });
    await expect(read).rejects.toThrow(base);
  });

  it("with a token that the model does not have is refused with file and index", async () => {
    await put("wide/a.txt", "abc");
    await put("wide/b.jsonl", '{"text":"abc"}\n{"text":"a\u00e9"}\n');
    const read = readCorpus(nodeDisk, bytes, options({ train: ["wide/*"], vocab: 128 }));
    await expect(read).rejects.toMatchObject({ code: "data/token-outside-vocab", at: `${base}/wide/b.jsonl @token 4` });
    await expect(read).rejects.toThrow("token 195; the model's ids are 0 to 127");
  });

  it("that changed since a run began is told file by file", async () => {
    for (const name of ["a", "b", "c"]) await put(`run/${name}.txt`, `text ${name}`);
    const read = async () => (await readCorpus(nodeDisk, bytes, options({ train: ["run/*.txt"] }))).files;
    const before = await read();
    checkSameFiles(before, JSON.parse(JSON.stringify(await read())));
    await put("run/a.txt", "text A");
    await put("run/b.txt", "text b and more");
    await rm(`${base}/run/c.txt`);
    await put("run/d.txt", "text d");
    const now = await read();
    expect(() => checkSameFiles(before, now)).toThrow(
      [
        "data/files-changed: the data is not what this run began with",
        `  ${base}/run/a.txt has other content of the same length`,
        `  ${base}/run/b.txt has 15 bytes; it had 6`,
        `  ${base}/run/c.txt is gone`,
        `  ${base}/run/d.txt is new`,
      ].join("\n"),
    );
  });
});
