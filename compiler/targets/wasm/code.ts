// Collects the parts of a WAT function body: lines, locals and constants. Constants are mutable globals that are read
// into locals before any loop, because V8 rebuilds a v128.const on every use inside one.

export type ValueType = "i32" | "f32" | "v128";

export class WatCode {
  readonly lines: string[] = [];
  readonly #locals = new Map<string, ValueType>();
  readonly #constants = new Map<string, string>();
  readonly #reserved: ReadonlySet<string>;
  #depth = 0;

  /** `reserved` are locals that the template declares itself. Names with a dot are ours: no formula has one. */
  constructor(reserved: Iterable<string>) {
    this.#reserved = new Set(reserved);
  }

  get locals(): readonly { readonly name: string; readonly type: ValueType }[] {
    return [...this.#locals].map(([name, type]) => ({ name, type }));
  }

  /** Globals that hold the constants: name without `$`, and initial value. */
  get constants(): readonly { readonly name: string; readonly value: string }[] {
    return [...this.#constants].map(([name, value]) => ({ name, value }));
  }

  put(line: string): void {
    this.lines.push("  ".repeat(this.#depth) + line);
  }

  /** A line for whoever reads the kernel. */
  comment(text: string): void {
    this.put(`;; ${text}`);
  }

  indented(body: () => void): void {
    this.#depth++;
    body();
    this.#depth--;
  }

  /** A local of its own: `wanted`, or `wanted_2` and so on where that is taken. */
  fresh(wanted: string, type: ValueType): string {
    let name = wanted;
    for (let i = 2; this.#locals.has(name) || this.#reserved.has(name); i++) name = `${wanted}_${i}`;
    this.#locals.set(name, type);
    return name;
  }

  /** A local that several statements share, such as the temporaries of an exponential. */
  shared(name: string, type: ValueType): string {
    this.#locals.set(name, type);
    return name;
  }

  set(name: string, value: string): void {
    this.put(`(local.set $${name} ${value})`);
  }

  /** Four times the same float, as a local that holds it. */
  float(value: number): string {
    const text = floatLiteral(value);
    return this.#constant(`f.${text}`, `(v128.const f32x4 ${text} ${text} ${text} ${text})`);
  }

  /** Four times the same integer. */
  integer(value: number): string {
    return this.#constant(`i.${value}`, `(v128.const i32x4 ${value} ${value} ${value} ${value})`);
  }

  /** Any vector; `name` says what it is. */
  vector(name: string, value: string): string {
    return this.#constant(`v.${name}`, value);
  }

  #constant(name: string, value: string): string {
    this.#constants.set(name, value);
    this.#locals.set(name, "v128");
    return `(local.get $${name})`;
  }
}

/** A float as WAT prints it: the shortest text that reads back as the same f32. */
function floatLiteral(value: number): string {
  const rounded = Math.fround(value);
  if (rounded === Number.POSITIVE_INFINITY) return "inf";
  if (rounded === Number.NEGATIVE_INFINITY) return "-inf";
  if (Number.isNaN(rounded)) return "nan";
  for (let digits = 1; digits < 10; digits++) {
    const text = rounded.toPrecision(digits);
    if (Math.fround(Number(text)) === rounded) return String(Number(text));
  }
  return String(rounded);
}

/** ` offset=16`, or nothing for 0. */
export const offsetText = (bytes: number): string => (bytes === 0 ? "" : ` offset=${bytes}`);

export const get = (local: string): string => `(local.get $${local})`;
export const i32 = (value: number): string => `(i32.const ${value})`;

/** `address + bytes`, or the address itself for 0. */
export const addBytes = (address: string, bytes: string | number): string =>
  bytes === 0 ? address : `(i32.add ${address} ${typeof bytes === "number" ? i32(bytes) : bytes})`;
