import type { SinkInbox } from './sink-inbox.ts';
import type { TestService } from './start.ts';
import type { FlowType } from './supabase.ts';

/** What an application shows of an error of the library. */
export interface ShownError {
  readonly name: string;
  readonly status?: number;
  readonly code?: string;
  readonly message: string;
  readonly reasons?: readonly string[];
}

/** Where a link has led, and what the library has left in the URL. */
export type Landing = Readonly<Partial<Record<string, string>>> & { readonly path: string };

/** A person with an application that uses the library: in a tab of Chromium, or without a browser. */
export interface Visitor {
  /** What a method of the library returns, without an error. */
  // biome-ignore lint/suspicious/noExplicitAny: the tests compare what is there
  call(method: string, ...values: readonly unknown[]): Promise<any>;
  /** The error that a method of the library returns. */
  refusal(method: string, ...values: readonly unknown[]): Promise<ShownError>;
  /** Follows a link that leads to the application. */
  open(link: string): Promise<Landing>;
  /** Loads the application again. */
  reload(): Promise<void>;
  /** The events since the application was loaded. */
  events(): Promise<readonly string[]>;
  /** What the library has stored for the next load. */
  stored(): Promise<string>;
}

/** Under this name the library stores the verifier of the last request with PKCE. */
export const verifierKey = 'supabase.auth.token-code-verifier';

/** An application, and its mail. */
export interface Site {
  readonly service: TestService;
  readonly origin: string;
  readonly inbox: SinkInbox;
  /** A person whose browser has stored nothing. */
  visitor(): Promise<Visitor>;
}

export interface SiteOptions {
  readonly flowType?: FlowType;
  readonly env?: Readonly<Record<string, string>>;
}

const leftInFragment = ['message', 'error', 'error_code', 'error_description'];

/** What the library has left in a URL, from which it has taken the tokens. */
export function landingOf({ pathname, searchParams, hash }: URL): Landing {
  const fragment = [...new URLSearchParams(hash.slice(1))].filter(([name]) => leftInFragment.includes(name));
  return { ...Object.fromEntries([...searchParams, ...fragment]), path: pathname };
}
