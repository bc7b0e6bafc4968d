// One lock per run folder, so that two trainers never write to one. The lock of a process that died is taken over; that
// of a living one, or of one that cannot be judged from here, never.

import { lockUnreadable, runLocked } from "../messages/run-folder.ts";
import { type Disk, errnoOf, readText } from "./disk.ts";

/** Who holds a lock: enough to tell, later and elsewhere on the machine, whether that very process still lives. */
export interface LockOwner {
  readonly pid: number;
  /** Name of the machine and of the space in which `pid` counts (containers have their own). */
  readonly host: string;
  /** Changes with every start of the machine; empty where the system does not tell. */
  readonly boot: string;
  /** When the process started, in the system's own units; empty where the system does not tell. */
  readonly started: string;
  /** Never used twice. */
  readonly nonce: string;
  /** For people: ISO 8601, UTC. */
  readonly takenAt: string;
}

/** What the lock has to know of processes; node-process.ts answers for Node. */
export interface ProcessTable {
  /** This process as an owner, with a fresh nonce. */
  describeSelf(): LockOwner;
  /** `unknown` when the owner cannot be judged from here, such as one on another machine. */
  judge(owner: LockOwner): "alive" | "dead" | "unknown";
}

export interface RunLock {
  /** Lets others take the folder. */
  release(): Promise<void>;
}

const LOCK_NAME = "run.lock";
const LOCK_LIMIT = 1 << 16;

/**
 * Takes the lock of a run folder.
 *
 * Protocol: `run.lock` appears by linking a finished file, so it never stands there half written, and only one of
 * several starters succeeds. When its owner is dead, a starter claims the name `run.lock.<nonce of the dead owner>` in
 * the same way, makes sure that `run.lock` is still the dead owner's, and renames its own lock over it. The claimed name
 * belongs to one dead owner for ever, so however slowly a rival moves, it cannot remove a living owner's lock.
 * Errors: `run/locked` with the owner; `run/bad-lock`.
 */
export async function acquireRunLock(disk: Disk, processes: ProcessTable, runFolder: string): Promise<RunLock> {
  const self = processes.describeSelf();
  const root = `${runFolder}/${LOCK_NAME}`;
  const own = `${root}.own-${self.nonce}`;
  try {
    await writeOwner(disk, own, self);
    await claim(disk, processes, root, own, self);
  } finally {
    await unlinkIfThere(disk, own);
  }
  await removeDeadNames(disk, processes, runFolder);
  return { release: () => release(disk, root, self) };
}

/** Another's lock can stand there only when a person deleted this one's. */
async function release(disk: Disk, root: string, self: LockOwner): Promise<void> {
  if ((await readOwner(disk, root))?.nonce === self.nonce) await disk.unlink(root);
}

/** Synced, because a lock that a power cut empties could be judged by nobody. */
async function writeOwner(disk: Disk, path: string, owner: LockOwner): Promise<void> {
  const writer = await disk.create(path);
  try {
    await writer.write(new TextEncoder().encode(`${JSON.stringify(owner)}\n`));
    await writer.sync();
  } finally {
    await writer.close();
  }
}

/** Returns once `root` is a link to `own`. */
async function claim(disk: Disk, processes: ProcessTable, root: string, own: string, self: LockOwner): Promise<void> {
  for (;;) {
    if (await linkIfFree(disk, own, root, self)) return;
    const chain = await readChain(disk, processes, root);
    // Released in the meantime.
    if (chain.length === 0) continue;
    const claimed = `${root}.${chain[chain.length - 1]}`;
    if (!(await linkIfFree(disk, own, claimed, self))) continue;
    const isValid = await startsWith(disk, processes, root, chain);
    if (isValid) {
      await disk.link(claimed, `${claimed}-root`);
      await disk.rename(`${claimed}-root`, root);
    }
    // Either it has served, or another starter took over and tidied up before the name was claimed.
    await disk.unlink(claimed);
    if (isValid) return;
  }
}

/** Gives `own` a second name; false when the name is taken. */
async function linkIfFree(disk: Disk, own: string, path: string, self: LockOwner): Promise<boolean> {
  try {
    await disk.link(own, path);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    if (errnoOf(error) !== "ENOENT") throw error;
  }
  // An owner that was tidying up took this starter's file for one whose writer had died before writing it.
  await writeOwner(disk, own, self);
  return false;
}

async function unlinkIfThere(disk: Disk, path: string): Promise<void> {
  try {
    await disk.unlink(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

/** The nonces of dead owners, from that of `root` through the names that were claimed from each. */
async function readChain(disk: Disk, processes: ProcessTable, root: string): Promise<string[]> {
  const nonces: string[] = [];
  for (let path = root; ; path = `${root}.${nonces[nonces.length - 1]}`) {
    const owner = await readOwner(disk, path);
    if (owner === undefined) return nonces;
    const state = processes.judge(owner);
    if (state !== "dead") throw runLocked(path, owner, state === "alive");
    // No mspec writes a circle, but a person's copy of a lock can be one.
    if (nonces.includes(owner.nonce)) throw lockUnreadable(path);
    nonces.push(owner.nonce);
  }
}

/** Whether the chain still begins with these nonces; what stands behind them is this process's own claim. */
async function startsWith(
  disk: Disk,
  processes: ProcessTable,
  root: string,
  nonces: readonly string[],
): Promise<boolean> {
  for (const [index, nonce] of nonces.entries()) {
    const owner = await readOwner(disk, index === 0 ? root : `${root}.${nonces[index - 1]}`);
    if (owner?.nonce !== nonce || processes.judge(owner) !== "dead") return false;
  }
  return true;
}

async function readOwner(disk: Disk, path: string): Promise<LockOwner | undefined> {
  const text = await readLock(disk, path);
  if (text === undefined) return undefined;
  const owner = parseOwner(text);
  if (owner === undefined) throw lockUnreadable(path);
  return owner;
}

/** The text of a lock file, empty for one that is far too long; undefined when there is none. */
async function readLock(disk: Disk, path: string): Promise<string | undefined> {
  try {
    return (await readText(disk, path, LOCK_LIMIT)) ?? "";
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function parseOwner(text: string): LockOwner | undefined {
  try {
    const { pid, host, boot, started, nonce, takenAt } = JSON.parse(text) as Record<string, unknown>;
    const strings = [host, boot, started, nonce, takenAt];
    if (!Number.isSafeInteger(pid) || strings.some((value) => typeof value !== "string")) return undefined;
    if (!/^[0-9a-f-]{1,64}$/.test(nonce as string)) return undefined;
    return { pid, host, boot, started, nonce, takenAt } as LockOwner;
  } catch {
    return undefined;
  }
}

/** Removes the names that dead starters left, half-written ones too; the caller holds the lock. */
async function removeDeadNames(disk: Disk, processes: ProcessTable, runFolder: string): Promise<void> {
  for (const { name, kind } of await disk.list(runFolder)) {
    if (kind !== "file" || !name.startsWith(`${LOCK_NAME}.`)) continue;
    const path = `${runFolder}/${name}`;
    const text = await readLock(disk, path);
    if (text === undefined) continue;
    const owner = parseOwner(text);
    if (owner === undefined || processes.judge(owner) === "dead") await unlinkIfThere(disk, path);
  }
}
