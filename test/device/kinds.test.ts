import { describe, expect, test } from 'vitest';
import {
  dashboardCodes,
  isSecret,
  kindOfPollingSecret,
  mintCode,
  mintSecret,
  readCode,
  shortDashboardCodes,
  userCodes,
} from '../../src/device/codes.ts';
import {
  type AttemptEvent,
  type AttemptKind,
  type AttemptState,
  kinds,
  nextState,
  stateAt,
  stepOf,
} from '../../src/device/kinds.ts';

const allKinds = Object.keys(kinds) as AttemptKind[];
const events: AttemptEvent[] = ['claim', 'approve', 'deny', 'cancel', 'redeem'];
const noon = new Date('2026-06-01T12:00:00Z');

/** The state after each event in the order of `events`. A dot: the event is not admitted. */
const table: Record<AttemptState, string> = {
  pending: 'claimed approved denied denied .',
  claimed: '. approved denied denied .',
  approved: '. . . denied redeemed',
  denied: '. . . . .',
  redeemed: '. . . . .',
};

describe('the states of an attempt', () => {
  test('are decided once, redeemed once, and final after that', () => {
    for (const [state, expected] of Object.entries(table)) {
      const seen = events.map((event) => nextState('cli', state as AttemptState, event) ?? '.');
      expect(seen.join(' '), state).toBe(expected);
    }
  });

  test('of a short dashboard code need a claim before the approval', () => {
    expect(nextState('dashboard', 'pending', 'approve')).toBeUndefined();
    expect(nextState('dashboard', 'claimed', 'approve')).toBe('approved');
    expect(stepOf('dashboard', 'approve')).toEqual({ from: ['claimed'], to: 'approved' });
    expect(stepOf('device', 'approve')).toEqual({ from: ['pending', 'claimed'], to: 'approved' });
  });

  test('lead from every state that admits an event to the same one', () => {
    for (const kind of allKinds)
      for (const event of events) {
        const { from, to } = stepOf(kind, event);
        expect(new Set(from.map((state) => nextState(kind, state, event)))).toEqual(new Set([to]));
      }
  });

  test('expire, unless the attempt was denied or redeemed before', () => {
    const at = (state: AttemptState, ms: number) => stateAt({ state, expiresAt: new Date(noon.getTime() + ms) }, noon);
    expect(['pending', 'claimed', 'approved'].map((state) => at(state as AttemptState, 0))).toEqual(
      Array(3).fill('expired'),
    );
    expect([at('denied', 0), at('redeemed', 0), at('approved', 1)]).toEqual(['denied', 'redeemed', 'approved']);
  });
});

describe('codes', () => {
  test('of users have two groups of four consonants, and two hundred of them are distinct', () => {
    const codes = Array.from({ length: 200 }, () => mintCode(userCodes));
    for (const code of codes) expect(code).toMatch(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
    expect(new Set(codes).size).toBe(200);
    expect(mintCode(dashboardCodes)).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){5}[0-9A-HJKMNP-TV-Z]{4}$/);
    expect(mintCode(shortDashboardCodes)).toHaveLength(9);
  });

  test.each([
    ['bcdf-ghjk', 'BCDF-GHJK'],
    [' b c d f g h j k ', 'BCDF-GHJK'],
    ['ＢＣＤＦ－ＧＨＪＫ', 'BCDF-GHJK'],
    ['BCDF–GHJK', 'BCDF-GHJK'],
    ['BCDF-GHJA', undefined],
    ['BCDF-GHJ0', undefined],
    ['BCDF-GHJKL', undefined],
    ["'; drop table users; --", undefined],
    ['', undefined],
    ['ſſſſ-ſſſſ', 'SSSS-SSSS'],
  ])('typed as %s are read as %s', (typed, code) => {
    expect(readCode(userCodes, typed)).toBe(code);
  });

  test('that devices poll with name their kind', () => {
    for (const kind of allKinds) expect(kindOfPollingSecret(mintSecret(kinds[kind].pollingPrefix))).toBe(kind);
    const secret = mintSecret('ghpc_');
    expect(isSecret('ghpc_', secret)).toBe(true);
    for (const other of ['', secret.slice(1), `${secret}A`, `${secret} `, mintSecret('ghpx_'), 'ghpc_'])
      expect(kindOfPollingSecret(other), other).toBeUndefined();
  });
});
