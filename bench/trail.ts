import { fromBinary } from '@bufbuild/protobuf';
import type pg from 'pg';
import { AdminService, type ListAuditEventsResponse } from '../gen/gatehouse/v1/admin_pb.ts';
import { type EventFilter, listEvents, type Position } from '../src/audit/list.ts';
import { openOrm } from '../src/database/orm.ts';
import { defaultProjectId } from '../src/project/project.ts';
import { fillTrail, rare, userOf } from './events.ts';
import { examineAll } from './explain.ts';
import { pathOf, requestFrame } from './frames.ts';
import { Caller, percentile } from './generator.ts';
import { Recorder } from './recorder.ts';

import { serviceKey } from './seed.ts';
import { openStage, type Stage } from './stage.ts';
import { expectOk } from './wire.ts';

export interface Pages {
  readonly what: string;
  readonly pages: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
}

export interface Read {
  readonly what: string;
  readonly plan: string;
  /** Rows of the trail that the database read for a page of a hundred events. */
  readonly examined: number;
  /** Days that the database read completely. */
  readonly scanned: number;
}

export interface Trail {
  readonly events: number;
  readonly days: number;
  readonly pages: readonly Pages[];
  readonly reads: readonly Read[];
}

const days = 90;
const pageSize = 100;
/** How many of the first and of the last pages are reported. */
const ends = 200;

interface Filter {
  readonly userId?: string;
  readonly action?: string;
}

/** How long ListAuditEvents takes for a whole trail, with its first and its last pages. */
export async function measureTrail(events: number): Promise<Trail> {
  process.stderr.write(`Trail: ${events} events ...\n`);
  const stage = await openStage(10);
  await fillTrail((text, values) => stage.database.query(text, values), events, days);
  await stage.database.query('vacuum analyze audit_events');
  const call = caller(stage.grpc);
  const all = await walk(call, {});
  if (all.seen.size !== events) throw new Error(`${all.seen.size} of ${events} events were listed`);
  const ofUsers: number[] = [];
  for (let n = 0; n < ends; n++) ofUsers.push(...(await walk(call, { userId: userOf(n) }, 2)).times);
  const { times: ofAction } = await walk(call, { action: rare.action });
  const pages = [
    summarize('the first pages', all.times.slice(0, ends)),
    summarize('the last pages', all.times.slice(-ends)),
    summarize('pages of a user', ofUsers),
    summarize('pages of a rare action', ofAction),
  ];
  const reads = await readsOf(stage, events);
  call.close();
  await stage.close();
  return { events, days, pages, reads };
}

type Call = ((filter: Filter & { pageSize: number; pageToken: string }) => Promise<ListAuditEventsResponse>) & {
  close(): void;
};

function caller(address: string): Call {
  const method = AdminService.method.listAuditEvents;
  const connection = new Caller(address, pathOf(method), serviceKey);
  const call = async (request: Parameters<Call>[0]) =>
    fromBinary(method.output, expectOk(await connection.call(requestFrame(method, request))).message);
  return Object.assign(call, { close: () => connection.close() });
}

/** Lists all pages, or the given number of them. */
async function walk(call: Call, filter: Filter, most = Number.POSITIVE_INFINITY) {
  const times: number[] = [];
  const seen = new Set<string>();
  for (let pageToken = ''; times.length < most; ) {
    const begun = performance.now();
    const page = await call({ ...filter, pageSize, pageToken });
    times.push(performance.now() - begun);
    for (const { id } of page.events) seen.add(id);
    pageToken = page.nextPageToken;
    if (!pageToken) break;
  }
  return { times, seen };
}

function summarize(what: string, times: readonly number[]): Pages {
  const sorted = Float64Array.from(times).sort();
  return { what, pages: times.length, p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) };
}

const nothing: EventFilter = {};

/** What the database reads for a page at the beginning, in the middle and at the end, by a generic and by a custom plan. */
async function readsOf({ url, database }: Stage, events: number): Promise<Read[]> {
  const orm = await openOrm(url);
  const recorder = new Recorder(orm);
  const reads: Read[] = [];
  for (const [where, offset] of [
    ['first', undefined],
    ['middle', events / 2],
    ['last', events - pageSize],
  ] as const)
    for (const [whose, filter] of [
      ['all', nothing],
      ['a user', { ...nothing, userId: userOf(7) }],
    ] as const)
      for (const plan of ['custom', 'generic'] as const) {
        const after = offset === undefined ? undefined : await positionAt(database, offset);
        await listEvents(recorder, defaultProjectId, filter, { after, limit: pageSize, now: new Date() });
        const { rows, scanned } = await examineAll(database, recorder.take(), plan);
        reads.push({ what: `${where} page of ${whose}`, plan, examined: rows, scanned: scanned.length });
      }
  await orm.close(true);
  return reads;
}

async function positionAt(database: pg.Client, offset: number): Promise<Position> {
  const { rows } = await database.query<Position>(
    `select id, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at from audit_events
     order by at desc, id desc offset $1 limit 1`,
    [Math.floor(offset)],
  );
  return rows[0]!;
}
