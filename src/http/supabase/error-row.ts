import type { Reason } from '../../errors.ts';

/** What a text about an error may say. */
export interface Facts {
  readonly metadata: Readonly<Record<string, string>>;
  readonly fields: readonly { readonly field: string; readonly description: string }[];
  /** Seconds until the call may be repeated. */
  readonly wait: string | undefined;
}

/** Status, code and text of an error. Without a text it is the sentence of the reason. */
export type Row = readonly [status: number, code: string, text?: string | ((facts: Facts) => string)];

/** A row that depends on the metadata of the error. */
export type AnyRow = Row | ((facts: Facts) => Row);

export type Rows = Readonly<Partial<Record<Reason, AnyRow>>>;

export const invalidRequest: Row = [400, 'validation_failed', describeFields];

/** Reasons about fields that the route does not send. */
export function ofNoField(...reasons: readonly Reason[]): Rows {
  return Object.fromEntries(reasons.map((each) => [each, [400, 'validation_failed']]));
}

function describeFields({ fields }: Facts): string {
  const [first] = fields;
  if (!first) return 'The request is not valid';
  if (first.field === 'email' || first.field === 'code.email')
    return 'Unable to validate email address: invalid format';
  if (first.field === 'refresh_token') return 'Refresh token is not valid';
  return `${first.field}: ${first.description}`;
}
