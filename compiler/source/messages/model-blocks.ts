// Sentences about numbers of attention, experts and several predictions that must fit each other.

import type { Diagnostic } from "../diagnostic.ts";
import type { Place } from "../text.ts";
import { quoted } from "./words.ts";

const error = (code: string, claim: string, place: Place, more: Partial<Diagnostic> = {}): Diagnostic => ({
  code: `model/${code}`,
  severity: "error",
  claim,
  place,
  ...more,
});

const related = (place: Place, label: string) => ({ related: [{ place, label }] });

export function oddHeadDim(headDim: number, place: Place, isGiven: boolean): Diagnostic {
  const claim = isGiven ? `head_dim = ${headDim} is odd` : `head_dim = width / heads = ${headDim} is odd`;
  return error("odd-head-dim", claim, place, {
    help: "rope turns pairs of channels: choose an even head_dim, or give an even `rope.dim`",
  });
}

/** `key` is `rope.dim` or `rope_dim`. */
export function oddRopeDim(key: string, dim: number, place: Place): Diagnostic {
  return error("odd-rope-dim", `${key} = ${dim} is odd`, place, {
    help: `rope turns pairs of channels: choose an even ${key}`,
  });
}

export function ropeBeyondHead(dim: number, headDim: number, place: Place, headPlace: Place): Diagnostic {
  return error("rope-beyond-head", `rope.dim = ${dim} is more than head_dim = ${headDim}`, place, {
    ...related(headPlace, "head_dim"),
    label: "rope.dim",
    help: "rope turns the first channels of a head: at most all of them",
  });
}

export function twoRopeScalings(place: Place, otherPlace: Place): Diagnostic {
  return error("two-rope-scalings", "rope has yarn and llama3, it takes one of them", place, {
    ...related(otherPlace, "the other"),
    help: "leave one out",
  });
}

export function yarnBounds(slow: number, fast: number, place: Place, fastPlace: Place): Diagnostic {
  return error("yarn-bounds", `beta_slow = ${slow} is above beta_fast = ${fast}`, place, {
    ...related(fastPlace, "beta_fast"),
    label: "beta_slow",
    help: "what turns more often than beta_fast is left alone, what turns less often than beta_slow is stretched",
  });
}

export function yarnTheta(theta: number, place: Place, yarnPlace: Place): Diagnostic {
  return error("yarn-theta", `theta = ${theta} is not above 1, as yarn needs it`, place, {
    ...related(yarnPlace, "yarn"),
    details: ["the bounds of its ramp are divided by log(theta)"],
    help: "choose a larger theta, as in `theta: 10000`",
  });
}

export function topKBeyondExperts(topK: number, experts: number, place: Place, expertsPlace: Place): Diagnostic {
  return error("top-k-beyond-experts", `top_k = ${topK} is more than experts = ${experts}`, place, {
    ...related(expertsPlace, "experts"),
    label: "top_k",
    help: "a token goes through different experts: choose a smaller top_k or more experts",
  });
}

export function groupsDoNotDivide(count: number, experts: number, place: Place, expertsPlace: Place): Diagnostic {
  return error("groups-do-not-divide", `groups.count = ${count} does not divide experts = ${experts}`, place, {
    ...related(expertsPlace, "experts"),
    label: "groups.count",
    details: [`${experts} = ${Math.floor(experts / count)} * ${count} + ${experts % count}`],
    help: "groups have equally many experts: choose a divisor of experts",
  });
}

export function keepBeyondCount(keep: number, count: number, place: Place, countPlace: Place): Diagnostic {
  return error("keep-beyond-count", `groups.keep = ${keep} is more than groups.count = ${count}`, place, {
    ...related(countPlace, "groups.count"),
    label: "groups.keep",
    help: "keep at most as many groups as there are",
  });
}

export interface GroupSizes {
  readonly experts: number;
  readonly count: number;
  readonly keep: number;
}

export function topKBeyondGroups(
  topK: number,
  { experts, count, keep }: GroupSizes,
  place: Place,
  keepPlace: Place,
): Diagnostic {
  const kept = keep * (experts / count);
  return error("top-k-beyond-groups", `top_k = ${topK} is more than the ${kept} experts of the groups kept`, place, {
    ...related(keepPlace, "groups.keep"),
    label: "top_k",
    details: [`keep * experts / count = ${keep} * ${experts} / ${count} = ${kept}`],
    help: "keep more groups, or choose a smaller top_k",
  });
}

export function groupsOfOne(count: number, place: Place, countPlace: Place): Diagnostic {
  return error("groups-of-one", "top2_sum needs at least 2 experts in a group", place, {
    ...related(countPlace, `${count} groups of ${count} experts`),
    details: [`experts / groups.count = ${count} / ${count} = 1`],
    help: "write `score: max`, or choose fewer groups",
  });
}

export function sharedWithout(intermediate: number, place: Place, sharedPlace: Place): Diagnostic {
  return error("shared-without", `shared_intermediate = ${intermediate}, but shared = 0`, place, {
    ...related(sharedPlace, "no shared expert"),
    help: "write `shared: 1` beside it, or leave shared_intermediate out",
  });
}

export function sharedOfNothing(shared: number, place: Place, sharedPlace: Place): Diagnostic {
  return error("shared-of-nothing", `shared = ${shared}, but shared_intermediate = 0`, place, {
    ...related(sharedPlace, "shared"),
    help: "leave shared_intermediate out: it is then shared * intermediate",
  });
}

export function concatTwice(word: string, missing: string, place: Place): Diagnostic {
  return error("concat-twice", `model.mtp.concat has ${quoted(word)} twice and no ${quoted(missing)}`, place, {
    help: "write `[embedding, hidden]` or `[hidden, embedding]`",
  });
}

export function mtpBeyondSequence(depth: number, sequence: number, place: Place, sequencePlace: Place): Diagnostic {
  return error("mtp-beyond-sequence", `model.mtp.depth = ${depth} is not below train.sequence = ${sequence}`, place, {
    ...related(sequencePlace, "train.sequence"),
    label: "model.mtp.depth",
    details: [`a sequence has train.sequence - depth = ${sequence - depth} tokens with one that far behind`],
    help: "predict fewer tokens, or train on longer sequences",
  });
}

/** `product` spells the arithmetic with its result. */
export function tooManyChoices(product: string, place: Place): Diagnostic {
  return error("too-many-choices", "a micro-batch has more than 2^24 choices of experts", place, {
    details: [product, "2^24 = 16777216: counts are 32-bit floats, which are exact up to there"],
    help: "give `train.batch.micro`, or a shorter `train.sequence`",
  });
}
