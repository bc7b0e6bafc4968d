// A feed-forward block of either kind with its router: sizes evaluated, formulas read, schedules on the clock of the batch,
// and the rules that tie them together.

import * as say from "../source/messages/model-blocks.ts";
import { type Batch, coefficient, readSchedule } from "./batch.ts";
import type { Definitions } from "./definitions.ts";
import { noSpace, readActivation, readFormula } from "./formulas.ts";
import type { Section } from "./section.ts";
import type { BalanceLoss, FfnSpec, MoeSpec, RouterSpec } from "./spec.ts";

/** The block, or undefined if anything of it is faulty. */
export function resolveFfn(section: Section, definitions: Definitions, batch: Batch | undefined): FfnSpec | undefined {
  const intermediate = section.number("intermediate");
  const activation = readActivation(section, definitions);
  const bias = section.flag("bias");
  const experts = section.kind === "moe" ? resolveExperts(section, definitions, batch) : undefined;
  if (intermediate === undefined || activation === undefined || bias === undefined) return undefined;
  const block = { intermediate, bias, ...activation };
  if (section.kind === "dense") return { kind: "dense", ...block };
  return experts && { kind: "moe", ...block, ...experts };
}

type ExpertsSpec = Pick<MoeSpec, "experts" | "topK" | "sharedIntermediate" | "router">;

function resolveExperts(section: Section, definitions: Definitions, batch: Batch | undefined): ExpertsSpec | undefined {
  const [experts, topK] = [section.number("experts"), section.number("top_k")];
  if (experts !== undefined && topK !== undefined && topK > experts) {
    const places = [section.placeOf("top_k"), section.placeOf("experts")] as const;
    section.reading.diagnostics.add(say.topKBeyondExperts(topK, experts, ...places));
  }
  const sharedIntermediate = sharedOf(section);
  const router = resolveRouter(section, definitions, batch);
  if (experts === undefined || topK === undefined || sharedIntermediate === undefined) return undefined;
  return router && { experts, topK, sharedIntermediate, router };
}

/** Channels of the shared block, which is there if both numbers are above 0. */
function sharedOf(section: Section): number | undefined {
  const { diagnostics } = section.reading;
  const [shared, intermediate] = [section.number("shared"), section.number("shared_intermediate")];
  if (shared === undefined || intermediate === undefined) return undefined;
  const places = [section.placeOf("shared_intermediate"), section.placeOf("shared")] as const;
  if (shared === 0 && intermediate > 0) diagnostics.add(say.sharedWithout(intermediate, ...places));
  if (shared > 0 && intermediate === 0) diagnostics.add(say.sharedOfNothing(shared, ...places));
  return intermediate;
}

function resolveRouter(section: Section, definitions: Definitions, batch: Batch | undefined): RouterSpec | undefined {
  const router = section.section("router");
  const score = readFormula(router, "router", definitions, noSpace);
  const groups = router.isGiven("groups") ? resolveGroups(router.section("groups"), section) : undefined;
  const [normalize, bias] = [router.flag("normalize"), router.flag("bias")];
  const scale = router.number("scale");
  const hasChoiceBias = router.isGiven("bias_update");
  const biasUpdate = hasChoiceBias ? readSchedule(router, "bias_update", coefficient, batch) : undefined;
  const losses = resolveLosses(router.section("losses"), batch);
  if (router.isGiven("groups") && groups === undefined) return undefined;
  if (score === undefined || normalize === undefined || bias === undefined || scale === undefined) return undefined;
  return { score, groups, normalize, scale, bias, hasChoiceBias, biasUpdate, losses };
}

function resolveLosses(section: Section, batch: Batch | undefined): RouterSpec["losses"] {
  const kinds: readonly BalanceLoss[] = ["sequence", "batch", "z"];
  const given = kinds.filter((kind) => section.isGiven(kind));
  const pairs = given.map((kind) => [kind, readSchedule(section, kind, coefficient, batch)] as const);
  return Object.fromEntries(pairs.filter(([, schedule]) => schedule !== undefined));
}

function resolveGroups(groups: Section, block: Section): RouterSpec["groups"] {
  const { diagnostics } = groups.reading;
  const [count, keep] = [groups.number("count"), groups.number("keep")];
  const score = groups.text("score")?.text;
  const [experts, topK] = [block.number("experts"), block.number("top_k")];
  if (count === undefined || keep === undefined) return undefined;
  const [countPlace, keepPlace] = [groups.placeOf("count"), groups.placeOf("keep")];
  if (keep > count) diagnostics.add(say.keepBeyondCount(keep, count, keepPlace, countPlace));
  else if (experts !== undefined && experts % count !== 0) {
    diagnostics.add(say.groupsDoNotDivide(count, experts, countPlace, block.placeOf("experts")));
  } else if (experts !== undefined) {
    const isBeyond = topK !== undefined && topK <= experts && topK > keep * (experts / count);
    if (isBeyond) {
      diagnostics.add(say.topKBeyondGroups(topK, { experts, count, keep }, block.placeOf("top_k"), keepPlace));
    }
    if (score === "top2_sum" && experts === count) {
      diagnostics.add(say.groupsOfOne(count, groups.placeOf("score"), countPlace));
    }
  }
  return score === "top2_sum" || score === "max" ? { count, keep, score } : undefined;
}
