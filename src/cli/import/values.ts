import { unseen } from '../../text/invisible-characters.ts';
import { forGood } from '../../user/user.ts';

type JsonMap = Readonly<Record<string, unknown>>;

/** A text. Undefined when it is absent or empty, and for numbers of which JSON has lost digits. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined;
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** A text that people see: without control and invisible characters, and cut. Undefined when nothing is left. */
export function shownOf(value: unknown, most: number): string | undefined {
  const text = typeof value === 'string' ? value : '';
  const visible = text.replace(/\p{Cc}/gu, ' ').replace(new RegExp(unseen.source, 'gu'), '');
  return visible.toWellFormed().trim().slice(0, most).toWellFormed().trim() || undefined;
}

/** A boolean of JSON, of PostgreSQL's text form, or of SQLite. Undefined for everything else. */
export function flagOf(value: unknown): boolean | undefined {
  if (value === true || value === 1 || value === 't' || value === 'true' || value === '1') return true;
  if (value === false || value === 0 || value === 'f' || value === 'false' || value === '0') return false;
  return undefined;
}

const timestamp = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)\s*(Z|[+-]\d\d(?::?\d\d)?)?$/i;

/** An RFC 3339 time of a timestamp, which is one of UTC if it names no offset. Undefined for other texts. */
export function timeOf(value: unknown): string | undefined {
  if (value === 'infinity') return forGood.toISOString();
  if (typeof value === 'number' && Number.isSafeInteger(value)) return new Date(value).toJSON() ?? undefined;
  const [, day, clock, offset = 'Z'] = timestamp.exec(typeof value === 'string' ? value : '') ?? [];
  if (!day) return undefined;
  const full = /^[+-]\d\d$/.test(offset) ? `${offset}:00` : offset.replace(/^([+-]\d\d)(\d\d)$/, '$1:$2');
  const at = new Date(`${day}T${clock}${full.toUpperCase()}`);
  return Number.isNaN(at.getTime()) ? undefined : at.toISOString();
}

/** A JSON object, as such or as text. Undefined for everything else. */
export function objectOf(value: unknown): JsonMap | undefined {
  const json = typeof value === 'string' ? parsed(value) : value;
  return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as JsonMap) : undefined;
}

/** The objects in a JSON array, as such or as text. */
export function objectsOf(value: unknown): JsonMap[] {
  const json = typeof value === 'string' ? parsed(value) : value;
  return Array.isArray(json) ? json.map(objectOf).filter((each) => each !== undefined) : [];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A copy without what is undefined, for a record. */
export function compact(record: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
}

/** Base64 of any kind as base64url. Undefined for what is neither. */
export function base64urlOf(value: unknown): string | undefined {
  if (typeof value !== 'string' || !/^[A-Za-z0-9+/_-]+={0,2}$/.test(value)) return undefined;
  return Buffer.from(value, 'base64').toString('base64url');
}

/** A bytea, in its hexadecimal form, as base64url. */
export function byteaOf(value: unknown): string | undefined {
  const digits = typeof value === 'string' ? /^\\x((?:[0-9a-f]{2})+)$/i.exec(value)?.[1] : undefined;
  return digits && Buffer.from(digits, 'hex').toString('base64url');
}

export function isUuid(text: string | undefined): text is string {
  return text !== undefined && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text);
}

/** A UUID of its 16 bytes in base64url. */
export function uuidOfBytes(encoded: string | undefined): string | undefined {
  const digits = Buffer.from(encoded ?? '', 'base64url').toString('hex');
  return digits.length === 32 ? digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-') : undefined;
}
