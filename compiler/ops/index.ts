// The list of all operations.

import type { GraphBuilder, Node, NodePlace, Value } from "../graph/graph.ts";
import type { DType } from "../graph/types.ts";
import { invariant } from "../source/diagnostic.ts";
import { accumulate } from "./accumulate.ts";
import { activation } from "./activation.ts";
import { adamw, updateScalars } from "./adamw.ts";
import { add } from "./add.ts";
import { addBias } from "./add-bias.ts";
import { attention, attentionBackward } from "./attention.ts";
import { attentionPaged } from "./attention-paged.ts";
import { balanceLoss, loads, moveChoiceBias, routerZLoss, spread } from "./balance.ts";
import { cast } from "./cast.ts";
import { joinColumns, splitColumns } from "./columns.ts";
import type { Emitter, Op } from "./contract.ts";
import { combine, combineDots, combineSum, dispatch, dispatchWeighted } from "./dispatch.ts";
import { expertFractions } from "./expert-fractions.ts";
import { expertOrder } from "./expert-order.ts";
import { derivedFormula } from "./formula-op.ts";
import { gather, scatterAdd, scatterAddAccumulate, scatterStore } from "./gather.ts";
import { accumulatingGroupedWgrad, groupedDgrad, groupedLinear, groupedWgrad } from "./grouped-linear.ts";
import { latentKeysValues } from "./latent-keys.ts";
import { accumulatingWgrad, linear, linearDgrad, linearWgrad } from "./linear.ts";
import {
  linearCrossEntropy,
  linearCrossEntropyAccumulate,
  linearCrossEntropyTraining,
} from "./linear-cross-entropy.ts";
import { absorbQueries, absorbValues } from "./linear-heads.ts";
import { globalNorm, sumAll } from "./reduce.ts";
import { rmsNorm, rmsNormHeads } from "./rms-norm.ts";
import { rope } from "./rope.ts";
import { router, routerBackward } from "./router.ts";
import { headProducts, sinkGradient } from "./sinks.ts";

/** Ops of different attributes in one list: each reads its own attributes through `attributesOf`. */
const list = [
  gather,
  scatterAdd,
  scatterAddAccumulate,
  scatterStore,
  add,
  addBias,
  splitColumns,
  joinColumns,
  rmsNorm,
  rmsNormHeads,
  linear,
  linearDgrad,
  linearWgrad,
  accumulatingWgrad,
  rope,
  latentKeysValues,
  absorbQueries,
  absorbValues,
  attention,
  attentionBackward,
  attentionPaged,
  headProducts,
  sinkGradient,
  activation,
  addBias,
  router,
  routerBackward,
  expertOrder,
  expertFractions,
  balanceLoss,
  routerZLoss,
  loads,
  moveChoiceBias,
  spread,
  dispatch,
  dispatchWeighted,
  combine,
  combineSum,
  combineDots,
  groupedLinear,
  groupedDgrad,
  groupedWgrad,
  accumulatingGroupedWgrad,
  linearCrossEntropy,
  linearCrossEntropyTraining,
  linearCrossEntropyAccumulate,
  derivedFormula,
  cast,
  accumulate,
  sumAll,
  globalNorm,
  updateScalars,
  adamw,
] as const;

export const ops: ReadonlyMap<string, Op> = new Map(list.map((op) => [op.name, op as unknown as Op]));

export function opOf(node: Node): Op {
  const op = ops.get(node.op);
  invariant(op !== undefined, `no op is called ${node.op}`, node.path);
  return op;
}

/** The emitter that infers output types from the op; `dtypes` are what outputs of real numbers are stored as. */
export function emitterFor(builder: GraphBuilder, dtypes: readonly DType[] = []): Emitter {
  return {
    builder,
    emit<A>(op: Op<A>, inputs: readonly Value[], attributes: A, place: NodePlace): readonly Value[] {
      const ports = op.infer(
        inputs.map((value) => value.type),
        attributes,
        place.path,
      );
      const states = new Map(op.inPlace.map(([output, input]) => [output, inputs[input]]));
      const outputs = ports.map((port, i) => {
        const state = states.get(i);
        if (state !== undefined) return { ...port, type: state.type, storage: state.storage, name: state.name };
        return { ...port, type: { ...port.type, dtype: dtypes[i] ?? port.type.dtype } };
      });
      const { path, direction, classes, key } = place;
      return builder.node({ op: op.name, inputs, attributes, outputs, path, direction, classes, key }).outputs;
    },
  };
}
