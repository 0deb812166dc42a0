import { setTimeout as sleep } from 'node:timers/promises';
import type { Claimed } from './claim.ts';

/** Mails under way that are not slow, and mails under way at all: each has a connection of its own. */
const mostQuick = 20;
const mostRunning = 40;
/** Mails of a window, with those that wait for their turn. */
const mostHeld = 120;
/** Mails under way to one domain: at first, and when it has accepted some. */
const firstOfDomain = 2;
const mostOfDomain = 4;
/** Milliseconds between the starts of two mails, so that a long queue leaves the process time for calls: about 330 a second. */
const startInterval = 3;
/** Mails that wait for their turn at a domain that accepts mails, and the number from which on further ones are claimed. */
const mostWaiting = 32;
const fewWaiting = 8;
/** Milliseconds for which a domain is remembered, and the number of domains above which only those in use are. */
const memory = 10_000;
const mostRemembered = 200;
/** Milliseconds after which a mail is slow. */
const slowAfter = 5000;

/** The mails to one recipient domain. */
interface Lane {
  limit: number;
  running: number;
  isSlow: boolean;
  usedAt: number;
  readonly waiting: Claimed[];
}

interface Deps {
  /** Sends a mail. Never rejects. */
  readonly send: (mail: Claimed) => Promise<void>;
  /** Called with mails that were not tried and are no longer in the window. */
  readonly giveBack: (mails: readonly Claimed[]) => void;
  /** Called when there is room for further mails of a domain. */
  readonly onRoom: () => void;
}

/**
 * The mails under way. A few of each recipient domain are sent at the same time: servers check addresses of a domain while
 * they hold the connection, and a domain that responds slowly must not delay mails to others. A domain begins with two, may
 * have more when it accepts them quickly, and has one while it is slow.
 */
export class Window {
  readonly #deps: Deps;
  readonly #lanes = new Map<string, Lane>();
  readonly #held = new Map<string, Claimed>();
  #running = 0;
  #slow = 0;
  #startsAt = 0;
  #pacing: NodeJS.Timeout | undefined;

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** The mails in the window, until `remove`. */
  get mails(): readonly Claimed[] {
    return [...this.#held.values()];
  }

  /** How many mails may be added: at all, for each domain in the window, and for any other domain. */
  get room() {
    this.#forget();
    const lanes = [...this.#lanes];
    return {
      limit: mostHeld - this.#held.size,
      domains: lanes.map(([domain]) => domain),
      rooms: lanes.map(([, lane]) => (hasRoom(lane) ? capacityOf(lane) - lane.running - lane.waiting.length : 0)),
      room: 2 * firstOfDomain,
    };
  }

  /** Whether none of these domains has room. */
  isFull(domains: readonly string[]): boolean {
    return domains.every((domain) => {
      const lane = this.#lanes.get(domain);
      return lane !== undefined && !hasRoom(lane);
    });
  }

  /** Mails that are in the window already are left out: their lease ended before they did. */
  add(mails: readonly Claimed[]): void {
    for (const mail of mails) {
      if (this.#held.has(mail.id)) continue;
      this.#held.set(mail.id, mail);
      this.#laneOf(mail).waiting.push(mail);
    }
    this.#startAll();
  }

  remove({ id }: Claimed): void {
    this.#held.delete(id);
  }

  /** Gives back the mails that wait, and resolves when the others have ended, or after `milliseconds`. */
  async drain(milliseconds: number): Promise<void> {
    for (const lane of this.#lanes.values()) this.#empty(lane);
    const endsAt = performance.now() + milliseconds;
    while (this.#held.size > 0 && performance.now() < endsAt) await sleep(20);
  }

  #laneOf({ domain }: Claimed): Lane {
    const unknown = { limit: firstOfDomain, running: 0, isSlow: false, usedAt: 0, waiting: [] };
    const lane = this.#lanes.get(domain) ?? unknown;
    this.#lanes.set(domain, lane);
    return lane;
  }

  #forget(): void {
    const before = this.#lanes.size > mostRemembered ? Infinity : performance.now() - memory;
    for (const [domain, { running, waiting, usedAt }] of this.#lanes)
      if (running === 0 && waiting.length === 0 && usedAt < before) this.#lanes.delete(domain);
  }

  #startAll(): void {
    for (const lane of this.#lanes.values()) {
      while (lane.running < lane.limit && lane.waiting.length > 0 && this.#mayStart) {
        if (!this.#isPaced()) return;
        this.#start(lane);
      }
    }
  }

  /** Whether the next mail may start now. Otherwise it starts when its time has come. */
  #isPaced(): boolean {
    const now = performance.now();
    if (now >= this.#startsAt) {
      this.#startsAt = Math.max(this.#startsAt, now - 4 * startInterval) + startInterval;
      return true;
    }
    this.#pacing ??= setTimeout(() => {
      this.#pacing = undefined;
      this.#startAll();
    }, this.#startsAt - now);
    return false;
  }

  get #mayStart(): boolean {
    return this.#running - this.#slow < mostQuick && this.#running < mostRunning;
  }

  #start(lane: Lane): void {
    const mail = lane.waiting.shift()!;
    lane.running++;
    this.#running++;
    let isSlow = false;
    const timer = setTimeout(() => {
      isSlow = true;
      this.#slow++;
      this.#slowDown(lane);
    }, slowAfter).unref();
    void this.#deps.send(mail).then(() => {
      clearTimeout(timer);
      if (isSlow) this.#slow--;
      this.#end(lane, isSlow);
    });
  }

  #end(lane: Lane, isSlow: boolean): void {
    lane.running--;
    this.#running--;
    lane.usedAt = performance.now();
    lane.isSlow = isSlow;
    lane.limit = isSlow ? 1 : Math.min(mostOfDomain, lane.limit + 1);
    this.#startAll();
    if (hasRoom(lane)) this.#deps.onRoom();
  }

  #slowDown(lane: Lane): void {
    lane.isSlow = true;
    lane.limit = 1;
    this.#empty(lane);
    this.#startAll();
    this.#deps.onRoom();
  }

  #empty(lane: Lane): void {
    const mails = lane.waiting.splice(0);
    if (mails.length > 0) this.#deps.giveBack(mails);
  }
}

function capacityOf({ limit, isSlow }: Lane): number {
  if (isSlow) return 1;
  return limit < mostOfDomain ? 2 * limit : limit + mostWaiting;
}

/** A lane is filled when few of its mails wait, so that one statement claims many. */
function hasRoom(lane: Lane): boolean {
  if (lane.isSlow) return lane.running === 0;
  return lane.waiting.length <= (lane.limit < mostOfDomain ? 0 : fewWaiting);
}
