import { expect } from 'vitest';
import { inboxOf } from './sink-inbox.ts';
import { startSink } from './smtp-sink.ts';
import { type FlowType, open, startSupabase, supabaseClient } from './supabase.ts';
import {
  landingOf,
  type ShownError,
  type Site,
  type SiteOptions,
  type Visitor,
  verifierKey,
} from './supabase-visitor.ts';

interface Outcome {
  readonly data: unknown;
  readonly error: ShownError | null;
}

/** An application without a browser, whose people have the library in Node. */
export async function openProgram({ flowType = 'implicit', env = {} }: SiteOptions = {}): Promise<Site> {
  const origin = 'http://app.example.com';
  const sink = await startSink();
  const { service } = await startSupabase({ env: { ...sink.env, SITE_URL: origin, MAIL_GAP: '0s', ...env } });
  return { service, origin, inbox: inboxOf(service, sink), visitor: async () => visitor(service, flowType) };
}

function visitor(service: Site['service'], flowType: FlowType): Visitor {
  const stored = new Map<string, string>();
  const load = () => {
    const client = supabaseClient(service, { flowType, stored });
    const events: string[] = [];
    client.onAuthStateChange((event) => void events.push(event));
    return { client, events };
  };
  let { client, events } = load();
  const outcomeOf = async (method: string, values: readonly unknown[]): Promise<Outcome> => {
    const names = method.split('.');
    const name = names.pop()!;
    const owner = names.reduce<object>((of, each) => Reflect.get(of, each), client);
    return Reflect.apply(Reflect.get(owner, name), owner, values);
  };
  const self: Visitor = {
    async call(method, ...values) {
      const { data, error } = await outcomeOf(method, values);
      expect(error, method).toBeNull();
      return data;
    },
    async refusal(method, ...values) {
      const { error } = await outcomeOf(method, values);
      if (!error) throw new Error(`${method} was not refused`);
      return error;
    },
    /** The library reads URLs in browsers only. */
    async open(link) {
      const { place, fragment, query } = await open(service, link);
      const { access_token, refresh_token } = fragment;
      const isAsker = stored.has(verifierKey);
      if (access_token) await self.call('setSession', { access_token, refresh_token });
      if (!query.code || !isAsker) return landingOf(place);
      service.ledger.keepSecret(query.code);
      await self.call('exchangeCodeForSession', query.code);
      place.searchParams.delete('code');
      return landingOf(place);
    },
    async reload() {
      ({ client, events } = load());
    },
    events: async () => events,
    stored: async () => JSON.stringify([...stored]),
  };
  return self;
}
