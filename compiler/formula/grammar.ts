// The grammar of the expression language: one parser with an entry rule for each kind of expression. It yields concrete
// syntax; precedences and trees are made in visitor.ts. It recurses only through brackets, whose depth is bounded
// before it runs (characters.ts).

import type { CstNode, IParserConfig, ParserMethod, TokenType } from "chevrotain";
import { CstParser } from "./chevrotain.ts";
import * as t from "./tokens.ts";

type Rule = ParserMethod<[], CstNode>;

/** The rules that parse.ts may start from. */
export type EntryRule = "size" | "formula" | "distribution" | "precision" | "selector" | "range" | "tile" | "schedule";

export class Grammar extends CstParser {
  // size = expression
  readonly size: Rule = this.RULE("size", () => {
    this.SUBRULE(this.expression);
  });

  // formula = { "let" name "=" expression ";" } ( name ":" expression { "," name ":" expression } | expression )
  readonly formula: Rule = this.RULE("formula", () => {
    this.MANY(() => this.SUBRULE(this.letBinding));
    this.OR([
      { ALT: () => this.AT_LEAST_ONE_SEP({ SEP: t.Comma, DEF: () => this.SUBRULE(this.namedOutput) }) },
      { ALT: () => this.SUBRULE(this.expression) },
    ]);
  });

  readonly letBinding: Rule = this.RULE("letBinding", () => {
    this.CONSUME(t.Let);
    this.CONSUME(t.Identifier);
    this.CONSUME(t.Equals);
    this.SUBRULE(this.expression);
    this.CONSUME(t.Semicolon);
  });

  readonly namedOutput: Rule = this.RULE("namedOutput", () => {
    this.CONSUME(t.Identifier);
    this.CONSUME(t.Colon);
    this.SUBRULE(this.expression);
  });

  // expression = operand { binary-operator operand }
  readonly expression: Rule = this.RULE("expression", () => {
    this.SUBRULE(this.operand);
    this.MANY(() => {
      this.CONSUME(t.BinaryOperator);
      this.SUBRULE2(this.operand);
    });
  });

  // operand = { "-" | "!" } ( number | name [ "(" [ arguments ] ")" ] | "(" expression ")" )
  // One rule, not four: a level of brackets costs stack for each rule that it passes through.
  readonly operand: Rule = this.RULE("operand", () => {
    this.MANY(() => this.CONSUME(t.PrefixOperator));
    this.OR([
      { ALT: () => this.CONSUME(t.NumberLiteral) },
      { ALT: () => this.CONSUME(t.SuffixedNumber) },
      {
        ALT: () => {
          this.CONSUME(t.Identifier);
          this.OPTION(() => {
            this.CONSUME(t.OpenParenthesis);
            this.MANY_SEP({ SEP: t.Comma, DEF: () => this.SUBRULE(this.expression) });
            this.CONSUME(t.CloseParenthesis);
          });
        },
      },
      {
        ALT: () => {
          this.CONSUME2(t.OpenParenthesis);
          this.SUBRULE2(this.expression);
          this.CONSUME2(t.CloseParenthesis);
        },
      },
    ]);
  });

  // distribution = name [ "(" [ arguments ] ")" ]
  readonly distribution: Rule = this.RULE("distribution", () => {
    this.CONSUME(t.Identifier);
    this.OPTION(() => {
      this.CONSUME(t.OpenParenthesis);
      this.MANY_SEP({ SEP: t.Comma, DEF: () => this.SUBRULE(this.expression) });
      this.CONSUME(t.CloseParenthesis);
    });
  });

  // precision = format [ "*" format ] { "->" format }
  readonly precision: Rule = this.RULE("precision", () => {
    this.SUBRULE(this.format);
    this.OPTION(() => {
      this.CONSUME(t.Star);
      this.SUBRULE2(this.format);
    });
    this.MANY(() => {
      this.CONSUME(t.Arrow);
      this.SUBRULE3(this.format);
    });
  });

  readonly format: Rule = this.RULE("format", () => {
    this.OR([{ ALT: () => this.CONSUME(t.Identifier) }, { ALT: () => this.CONSUME(t.Underscore) }]);
  });

  // selector = path { "," path }, path = step { "." step }
  readonly selector: Rule = this.RULE("selector", () => {
    this.AT_LEAST_ONE_SEP({ SEP: t.Comma, DEF: () => this.SUBRULE(this.path) });
  });

  readonly path: Rule = this.RULE("path", () => {
    this.AT_LEAST_ONE_SEP({ SEP: t.Dot, DEF: () => this.SUBRULE(this.step) });
  });

  // step = ( "*" | "**" | name | "{" name { "," name } "}" ) [ "[" range "]" ]
  readonly step: Rule = this.RULE("step", () => {
    this.OR([
      { ALT: () => this.CONSUME(t.Star) },
      { ALT: () => this.CONSUME(t.DoubleStar) },
      { ALT: () => this.CONSUME(t.Identifier) },
      { ALT: () => this.SUBRULE(this.choice) },
    ]);
    this.OPTION(() => this.SUBRULE(this.subscript));
  });

  readonly choice: Rule = this.RULE("choice", () => {
    this.CONSUME(t.OpenBrace);
    this.AT_LEAST_ONE_SEP({ SEP: t.Comma, DEF: () => this.CONSUME(t.Identifier) });
    this.CONSUME(t.CloseBrace);
  });

  readonly subscript: Rule = this.RULE("subscript", () => {
    this.CONSUME(t.OpenBracket);
    this.SUBRULE(this.range);
    this.CONSUME(t.CloseBracket);
  });

  // range = part { "," part }
  readonly range: Rule = this.RULE("range", () => {
    this.AT_LEAST_ONE_SEP({ SEP: t.Comma, DEF: () => this.SUBRULE(this.rangePart) });
  });

  // part = ( "*" | index [ ".." [ index ] ] | ".." index ) [ "by" number ]
  readonly rangePart: Rule = this.RULE("rangePart", () => {
    this.OR([
      { ALT: () => this.CONSUME(t.Star) },
      { ALT: () => this.SUBRULE(this.rangeFrom) },
      { ALT: () => this.SUBRULE(this.rangeTo) },
    ]);
    this.OPTION(() => {
      this.CONSUME(t.By);
      this.CONSUME(t.NumberLiteral);
    });
  });

  readonly rangeFrom: Rule = this.RULE("rangeFrom", () => {
    this.SUBRULE(this.index);
    this.OPTION(() => {
      this.CONSUME(t.DotDot);
      this.OPTION2(() => this.SUBRULE2(this.index));
    });
  });

  readonly rangeTo: Rule = this.RULE("rangeTo", () => {
    this.CONSUME(t.DotDot);
    this.SUBRULE(this.index);
  });

  readonly index: Rule = this.RULE("index", () => {
    this.OPTION(() => this.CONSUME(t.Minus));
    this.CONSUME(t.NumberLiteral);
  });

  // tile = extents { name number }
  readonly tile: Rule = this.RULE("tile", () => {
    this.CONSUME(t.TileExtents);
    this.MANY(() => this.SUBRULE(this.tileOption));
  });

  readonly tileOption: Rule = this.RULE("tileOption", () => {
    this.CONSUME(t.Identifier);
    this.CONSUME(t.NumberLiteral);
  });

  // schedule = piece { "then" piece }
  readonly schedule: Rule = this.RULE("schedule", () => {
    this.AT_LEAST_ONE_SEP({ SEP: t.Then, DEF: () => this.SUBRULE(this.piece) });
  });

  // A piece begins with one of the four words or with a value; a word stands first, so it is never read as a name.
  readonly piece: Rule = this.RULE("piece", () => {
    this.OR({
      DEF: [
        { ALT: () => this.SUBRULE(this.warmup) },
        { ALT: () => this.SUBRULE(this.ramp) },
        { ALT: () => this.SUBRULE(this.hold) },
        { ALT: () => this.SUBRULE(this.value) },
      ],
      IGNORE_AMBIGUITIES: true,
      MAX_LOOKAHEAD: 1,
    });
  });

  // warmup = "warmup" "(" extent ")" "to" expression
  readonly warmup: Rule = this.RULE("warmup", () => {
    this.CONSUME(t.Warmup);
    this.SUBRULE(this.extentGroup);
    this.CONSUME(t.To);
    this.SUBRULE(this.expression);
  });

  // ramp = ( "linear" | "cosine" ) [ "(" extent ")" ] [ "from" expression ] "to" expression
  readonly ramp: Rule = this.RULE("ramp", () => {
    this.OR([{ ALT: () => this.CONSUME(t.Linear) }, { ALT: () => this.CONSUME(t.Cosine) }]);
    this.OPTION(() => this.SUBRULE(this.extentGroup));
    this.OPTION2(() => {
      this.CONSUME(t.From);
      this.SUBRULE(this.expression);
    });
    this.CONSUME(t.To);
    this.SUBRULE2(this.expression);
  });

  // hold = "hold" [ "(" extent ")" ]
  readonly hold: Rule = this.RULE("hold", () => {
    this.CONSUME(t.Hold);
    this.OPTION(() => this.SUBRULE(this.extentGroup));
  });

  // value = expression [ ( "for" | "until" ) extent ]
  readonly value: Rule = this.RULE("value", () => {
    this.SUBRULE(this.expression);
    this.OPTION(() => {
      this.OR([{ ALT: () => this.CONSUME(t.For) }, { ALT: () => this.CONSUME(t.Until) }]);
      this.SUBRULE(this.extent);
    });
  });

  readonly extentGroup: Rule = this.RULE("extentGroup", () => {
    this.CONSUME(t.OpenParenthesis);
    this.OPTION(() => this.CONSUME(t.Until));
    this.SUBRULE(this.extent);
    this.CONSUME(t.CloseParenthesis);
  });

  // extent = expression [ "tokens" | "steps" ]
  readonly extent: Rule = this.RULE("extent", () => {
    this.SUBRULE(this.expression);
    this.OPTION(() => {
      this.OR([{ ALT: () => this.CONSUME(t.Tokens) }, { ALT: () => this.CONSUME(t.Steps) }]);
    });
  });

  /** The test of the grammar validates it (ambiguities, left recursion); at run time that would only cost time. */
  constructor(vocabulary: TokenType[], options: Pick<IParserConfig, "skipValidations"> = { skipValidations: true }) {
    super(vocabulary, { maxLookahead: 2, recoveryEnabled: false, nodeLocationTracking: "onlyOffset", ...options });
    this.performSelfAnalysis();
  }
}
