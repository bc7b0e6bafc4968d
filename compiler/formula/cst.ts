// Types of the concrete syntax, generated from grammar.ts by chevrotain; test/language/grammar.test.ts holds them equal.
import type { CstNode, IToken } from "chevrotain";

export interface SizeCstNode extends CstNode {
  name: "size";
  children: SizeCstChildren;
}

export type SizeCstChildren = {
  expression: ExpressionCstNode[];
};

export interface FormulaCstNode extends CstNode {
  name: "formula";
  children: FormulaCstChildren;
}

export type FormulaCstChildren = {
  letBinding?: LetBindingCstNode[];
  namedOutput?: NamedOutputCstNode[];
  Comma?: IToken[];
  expression?: ExpressionCstNode[];
};

export interface LetBindingCstNode extends CstNode {
  name: "letBinding";
  children: LetBindingCstChildren;
}

export type LetBindingCstChildren = {
  Let: IToken[];
  Identifier: IToken[];
  Equals: IToken[];
  expression: ExpressionCstNode[];
  Semicolon: IToken[];
};

export interface NamedOutputCstNode extends CstNode {
  name: "namedOutput";
  children: NamedOutputCstChildren;
}

export type NamedOutputCstChildren = {
  Identifier: IToken[];
  Colon: IToken[];
  expression: ExpressionCstNode[];
};

export interface ExpressionCstNode extends CstNode {
  name: "expression";
  children: ExpressionCstChildren;
}

export type ExpressionCstChildren = {
  operand: OperandCstNode[];
  BinaryOperator?: IToken[];
};

export interface OperandCstNode extends CstNode {
  name: "operand";
  children: OperandCstChildren;
}

export type OperandCstChildren = {
  PrefixOperator?: IToken[];
  NumberLiteral?: IToken[];
  SuffixedNumber?: IToken[];
  Identifier?: IToken[];
  OpenParenthesis?: IToken[];
  expression?: ExpressionCstNode[];
  Comma?: IToken[];
  CloseParenthesis?: IToken[];
};

export interface DistributionCstNode extends CstNode {
  name: "distribution";
  children: DistributionCstChildren;
}

export type DistributionCstChildren = {
  Identifier: IToken[];
  OpenParenthesis?: IToken[];
  expression?: ExpressionCstNode[];
  Comma?: IToken[];
  CloseParenthesis?: IToken[];
};

export interface PrecisionCstNode extends CstNode {
  name: "precision";
  children: PrecisionCstChildren;
}

export type PrecisionCstChildren = {
  format: FormatCstNode[];
  Star?: IToken[];
  Arrow?: IToken[];
};

export interface FormatCstNode extends CstNode {
  name: "format";
  children: FormatCstChildren;
}

export type FormatCstChildren = {
  Identifier?: IToken[];
  Underscore?: IToken[];
};

export interface SelectorCstNode extends CstNode {
  name: "selector";
  children: SelectorCstChildren;
}

export type SelectorCstChildren = {
  path: PathCstNode[];
  Comma?: IToken[];
};

export interface PathCstNode extends CstNode {
  name: "path";
  children: PathCstChildren;
}

export type PathCstChildren = {
  step: StepCstNode[];
  Dot?: IToken[];
};

export interface StepCstNode extends CstNode {
  name: "step";
  children: StepCstChildren;
}

export type StepCstChildren = {
  Star?: IToken[];
  DoubleStar?: IToken[];
  Identifier?: IToken[];
  choice?: ChoiceCstNode[];
  subscript?: SubscriptCstNode[];
};

export interface ChoiceCstNode extends CstNode {
  name: "choice";
  children: ChoiceCstChildren;
}

export type ChoiceCstChildren = {
  OpenBrace: IToken[];
  Identifier: IToken[];
  Comma?: IToken[];
  CloseBrace: IToken[];
};

export interface SubscriptCstNode extends CstNode {
  name: "subscript";
  children: SubscriptCstChildren;
}

export type SubscriptCstChildren = {
  OpenBracket: IToken[];
  range: RangeCstNode[];
  CloseBracket: IToken[];
};

export interface RangeCstNode extends CstNode {
  name: "range";
  children: RangeCstChildren;
}

export type RangeCstChildren = {
  rangePart: RangePartCstNode[];
  Comma?: IToken[];
};

export interface RangePartCstNode extends CstNode {
  name: "rangePart";
  children: RangePartCstChildren;
}

export type RangePartCstChildren = {
  Star?: IToken[];
  rangeFrom?: RangeFromCstNode[];
  rangeTo?: RangeToCstNode[];
  By?: IToken[];
  NumberLiteral?: IToken[];
};

export interface RangeFromCstNode extends CstNode {
  name: "rangeFrom";
  children: RangeFromCstChildren;
}

export type RangeFromCstChildren = {
  index: IndexCstNode[];
  DotDot?: IToken[];
};

export interface RangeToCstNode extends CstNode {
  name: "rangeTo";
  children: RangeToCstChildren;
}

export type RangeToCstChildren = {
  DotDot: IToken[];
  index: IndexCstNode[];
};

export interface IndexCstNode extends CstNode {
  name: "index";
  children: IndexCstChildren;
}

export type IndexCstChildren = {
  Minus?: IToken[];
  NumberLiteral: IToken[];
};

export interface TileCstNode extends CstNode {
  name: "tile";
  children: TileCstChildren;
}

export type TileCstChildren = {
  TileExtents: IToken[];
  tileOption?: TileOptionCstNode[];
};

export interface TileOptionCstNode extends CstNode {
  name: "tileOption";
  children: TileOptionCstChildren;
}

export type TileOptionCstChildren = {
  Identifier: IToken[];
  NumberLiteral: IToken[];
};

export interface ScheduleCstNode extends CstNode {
  name: "schedule";
  children: ScheduleCstChildren;
}

export type ScheduleCstChildren = {
  piece: PieceCstNode[];
  Then?: IToken[];
};

export interface PieceCstNode extends CstNode {
  name: "piece";
  children: PieceCstChildren;
}

export type PieceCstChildren = {
  warmup?: WarmupCstNode[];
  ramp?: RampCstNode[];
  hold?: HoldCstNode[];
  value?: ValueCstNode[];
};

export interface WarmupCstNode extends CstNode {
  name: "warmup";
  children: WarmupCstChildren;
}

export type WarmupCstChildren = {
  Warmup: IToken[];
  extentGroup: ExtentGroupCstNode[];
  To: IToken[];
  expression: ExpressionCstNode[];
};

export interface RampCstNode extends CstNode {
  name: "ramp";
  children: RampCstChildren;
}

export type RampCstChildren = {
  Linear?: IToken[];
  Cosine?: IToken[];
  extentGroup?: ExtentGroupCstNode[];
  From?: IToken[];
  expression: ExpressionCstNode[];
  To: IToken[];
};

export interface HoldCstNode extends CstNode {
  name: "hold";
  children: HoldCstChildren;
}

export type HoldCstChildren = {
  Hold: IToken[];
  extentGroup?: ExtentGroupCstNode[];
};

export interface ValueCstNode extends CstNode {
  name: "value";
  children: ValueCstChildren;
}

export type ValueCstChildren = {
  expression: ExpressionCstNode[];
  For?: IToken[];
  Until?: IToken[];
  extent?: ExtentCstNode[];
};

export interface ExtentGroupCstNode extends CstNode {
  name: "extentGroup";
  children: ExtentGroupCstChildren;
}

export type ExtentGroupCstChildren = {
  OpenParenthesis: IToken[];
  Until?: IToken[];
  extent: ExtentCstNode[];
  CloseParenthesis: IToken[];
};

export interface ExtentCstNode extends CstNode {
  name: "extent";
  children: ExtentCstChildren;
}

export type ExtentCstChildren = {
  expression: ExpressionCstNode[];
  Tokens?: IToken[];
  Steps?: IToken[];
};
