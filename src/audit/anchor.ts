import { createHmac } from 'node:crypto';
import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';
import type { MasterKeys } from '../crypto/master-keys.ts';
import { statement } from '../database/statement.ts';
import { projectColumn } from '../project/project.ts';
import { isSame, sealVersion } from './chain.ts';

const AuditAnchorTable = defineEntity({
  name: 'AuditAnchor',
  tableName: 'audit_anchors',
  properties: {
    projectId: () => projectColumn().primary(),
    version: p.smallint(),
    sequence: p.integer(),
    hash: p.blob(),
    total: p.bigint('number'),
    day: p.date(),
    mac: p.blob(),
    keyId: p.string().length(64),
    anchoredAt: p.datetime(3),
  },
});

/**
 * Stands for the beginning of a project's chain that was dropped with its days: the last dropped seal, and the first day
 * that was kept. The MAC tells a beginning that retention dropped from one that somebody with access to the database removed.
 */
export class AuditAnchor extends AuditAnchorTable.class {}
AuditAnchorTable.setClass(AuditAnchor);

/** The parts of an anchor that its MAC covers. */
export interface Anchor {
  readonly projectId: string;
  /** The last dropped seal; 0 when all are kept. */
  readonly sequence: number;
  readonly hash: Buffer;
  /** The number of events up to that seal. */
  readonly total: number;
  /** Events of earlier days were dropped. */
  readonly day: string;
}

type Dropped = Omit<Anchor, 'total'> & { readonly total: string };

// A chain is dropped up to its first seal of a day that is kept, but never its last seal, which the next one follows.
// Without a seal to drop the anchor stays where it is.
const readDropped = statement<Dropped, { day: string }>(
  'audit_seals_to_drop',
  `select p.id as "projectId", :day::date::text as day, coalesce(s.sequence, a.sequence, 0) as sequence,
     coalesce(s.hash, a.hash, decode(repeat('00', 32), 'hex')) as hash, coalesce(s.total, a.total, 0)::text as total
   from projects p left join audit_anchors a on a.project_id = p.id
   left join audit_seals s on s.project_id = p.id and s.sequence = coalesce(
     (select min(sequence) from audit_seals k where k.project_id = p.id and k.day >= :day::date),
     (select max(sequence) from audit_seals k where k.project_id = p.id)) - 1`,
);

interface WrittenAnchor extends Anchor {
  readonly version: number;
  readonly mac: Buffer;
  readonly keyId: string;
  readonly now: Date;
}

const writeAnchor = statement<{ id: string }, WrittenAnchor>(
  'audit_anchor_write',
  `insert into audit_anchors (project_id, version, sequence, hash, total, day, mac, key_id, anchored_at)
   values (:projectId, :version, :sequence, :hash, :total, :day, :mac, :keyId, :now)
   on conflict (project_id) do update set version = excluded.version, sequence = excluded.sequence, hash = excluded.hash,
     total = excluded.total, day = excluded.day, mac = excluded.mac, key_id = excluded.key_id,
     anchored_at = excluded.anchored_at
   returning project_id as id`,
);

/** Anchors every chain before the days before `day` are dropped. */
export async function anchorChains(em: EntityManager, keys: MasterKeys, day: string, now: Date): Promise<void> {
  for (const { total, ...dropped } of await readDropped(em, { day })) {
    const anchor = { ...dropped, total: Number(total) };
    const mac = anchorMac(keys, anchor, keys.activeId)!;
    await writeAnchor(em, { ...anchor, version: sealVersion, mac, keyId: keys.activeId, now });
  }
}

export interface StoredAnchor extends Anchor {
  readonly version: number;
  readonly mac: Buffer;
  readonly keyId: string;
}

const readAnchor = statement<Omit<StoredAnchor, 'total'> & { total: string }, { projectId: string }>(
  'audit_anchor',
  `select project_id as "projectId", version, sequence, hash, total::text, day::text, mac, key_id as "keyId"
   from audit_anchors where project_id = :projectId`,
);

/** The anchor of a project's chain. Undefined while no days have been dropped. */
export async function anchorOf(em: EntityManager, projectId: string): Promise<StoredAnchor | undefined> {
  const [anchor] = await readAnchor(em, { projectId });
  return anchor && { ...anchor, total: Number(anchor.total) };
}

export function faultOfAnchor(keys: MasterKeys, anchor: StoredAnchor): string | undefined {
  if (anchor.version !== sealVersion)
    return `the anchor has version ${anchor.version}, which this release cannot verify`;
  const mac = anchorMac(keys, anchor, anchor.keyId);
  if (!mac) return `the anchor was created with master key '${anchor.keyId}', which is not among MASTER_KEYS`;
  return isSame(mac, anchor.mac) ? undefined : 'the anchor of the dropped days was altered';
}

/** Undefined when the master key is unknown. */
function anchorMac(keys: MasterKeys, { projectId, sequence, hash, total, day }: Anchor, keyId: string) {
  const key = keys.macKey('audit anchor', keyId);
  const about = JSON.stringify([sealVersion, projectId, sequence, hash.toString('hex'), total, day]);
  return key && createHmac('sha256', key).update(about).digest();
}
