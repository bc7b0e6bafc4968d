// Names in WGSL: what is a word of the language gets an underscore.

/** Keywords, reserved words and predeclared names that a tensor or a formula's `let` may be called. */
const taken: ReadonlySet<string> = new Set(
  `alias break case const const_assert continue continuing default diagnostic discard else enable false fn for if let
   loop override requires return struct switch true var while
   active alignas alignof asm asm_fragment async attribute auto await become cast catch class co_await co_return
   co_yield coherent column_major common compile compile_fragment concept const_cast consteval constexpr constinit
   crate debugger decltype delete demote demote_to_helper do dynamic_cast enum explicit export extends extern external
   fallthrough filter final finally friend from fxgroup get goto groupshared highp impl implements import inline
   instanceof interface layout lowp macro macro_rules match mediump meta mod module move mut mutable namespace new nil
   noexcept noinline nointerpolation non_coherent noncoherent noperspective null nullptr of operator package packoffset
   pass patch pixelfragment precise precision premerge priv protected pub public readonly ref regardless register
   reinterpret_cast require resource restrict self set shared sizeof smooth snorm static static_assert static_cast std
   subroutine super target template this thread_local throw trait try type typedef typeid typename typeof union unless
   unorm unsafe unsized use using varying virtual volatile wgsl where with writeonly yield NULL Self abstract
   abs acos all any array asin atan atomic bitcast bool ceil clamp cos cross distance dot exp exp2 f16 f32 floor fma
   fract i32 length log log2 mat max min mix normalize pow ptr round saturate select sign sin sqrt step tan tanh trunc
   transpose u32 vec vec2 vec3 vec4 vec2f vec3f vec4f vec2u vec4u vec4i`.split(/\s+/),
);

/** A name as it is where nothing else has it: a member of a structure. */
export const memberName = (name: string): string => (taken.has(name) ? `${name}_` : name);

/** What every kernel calls by these names itself. */
const ours: ReadonlySet<string> = new Set(["group", "groups", "thread", "words", "tile", "scalars", "row", "vector"]);

/** The name of a variable or function. */
export const wgslName = (name: string): string => (taken.has(name) || ours.has(name) ? `${name}_` : name);
