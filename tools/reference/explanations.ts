import type { Reason } from '../../src/errors.ts';
import { ofAccounts } from './explanations-of-accounts.ts';
import { ofCredentials } from './explanations-of-credentials.ts';
import { ofDevices } from './explanations-of-devices.ts';
import { ofFactors } from './explanations-of-factors.ts';
import { ofProviders } from './explanations-of-providers.ts';

/** Whether a client should send the same request again. */
export type Retry = 'no' | 'after the delay' | 'with backoff';

export interface Explanation {
  readonly when: string;
  readonly retry: Retry;
  /** What a client should do. */
  readonly action: string;
  /** The keys of `ErrorInfo.metadata`, and what they hold. */
  readonly metadata?: Readonly<Record<string, string>>;
}

const ofRequests = {
  INVALID_ARGUMENT: {
    when: 'A field violates the rules in its proto, or two fields exclude each other. `google.rpc.BadRequest` names each field and the rule, never the value.',
    retry: 'no',
    action: 'Correct the fields. In a form, show each description beside its field.',
  },
  MALFORMED_REQUEST: {
    when: 'The body is not valid JSON or protobuf for this message, has an unknown field, or was cut off.',
    retry: 'no',
    action: 'Check the body, and whether the client was built from the current protos.',
  },
  PAGE_TOKEN_INVALID: {
    when: 'The page token was not returned by the same method for the same filter.',
    retry: 'no',
    action: 'Start again with the first page, without a page token.',
  },
  REQUEST_ID_REUSED: {
    when: 'The caller has sent this `request_id` with another request of the same method, and that request succeeded.',
    retry: 'no',
    action: 'Draw a new UUID for each call, and send the old one only to repeat the same request.',
  },
  PROJECT_NOT_FOUND: {
    when: 'The `gatehouse-project` header names no project.',
    retry: 'no',
    action: 'Correct the header, or leave it out for the default project.',
  },
  SERVICE_NOT_FOUND: {
    when: 'A health check names a service that does not exist.',
    retry: 'no',
    action: 'Name one of the services in `grpc.health.v1.Health.List`, or none for the whole server.',
  },
  METHOD_NOT_FOUND: {
    when: 'The path names no method, or the HTTP method is not allowed for it. Over HTTP the status is 404 or 405. Over gRPC also when a call has no whole message or two.',
    retry: 'no',
    action: 'Check the path, `/gatehouse.v1.SERVICE/METHOD`, and the version of the service.',
  },
  ENCODING_NOT_SUPPORTED: {
    when: 'The content type or the compression is not supported. Over HTTP the status can also be 415.',
    retry: 'no',
    action: 'Send JSON or protobuf, without compression or with gzip.',
  },
  REQUEST_TOO_LARGE: {
    when: 'The request has more than 64 KiB, before or after decompression.',
    retry: 'no',
    action: 'Send less. No field needs as much.',
  },
} as const satisfies Partial<Record<Reason, Explanation>>;

const ofCapacity = {
  OVER_REQUEST_RATE_LIMIT: {
    when: 'The calls or failed attempts of a client address, session, email address, network or project exceed a limit.',
    retry: 'after the delay',
    action: 'Wait as long as `RetryInfo` says. Do not let the user retry earlier.',
  },
  MAIL_LIMIT_REACHED: {
    when: 'The email address was sent as many mails of this kind as it may receive for now.',
    retry: 'after the delay',
    action: 'Wait as long as `RetryInfo` says. The link in the last mail is still valid.',
  },
  OVER_CAPACITY: {
    when: 'As many passwords are being hashed, and are waiting for it, as the replica allows.',
    retry: 'after the delay',
    action: 'Repeat the call after the delay. If it recurs, add replicas or processors.',
  },
  SERVER_BUSY: {
    when: 'The replica serves as many calls as it may.',
    retry: 'after the delay',
    action: 'Repeat the call after the delay, on another replica if there is one.',
  },
  SHUTTING_DOWN: {
    when: 'The replica shuts down and ended the call. If the call writes, its outcome is unknown.',
    retry: 'with backoff',
    action: 'Repeat the call if it has no side effects or a `request_id`. Otherwise read the state first.',
  },
  DATABASE_UNAVAILABLE: {
    when: 'The database cannot be reached or did not respond in time. If the connection broke during a commit, the outcome is unknown.',
    retry: 'after the delay',
    action: 'Repeat the call if it has no side effects or a `request_id`. Otherwise read the state first.',
  },
  TRY_AGAIN: {
    when: 'A concurrent call changed the same rows, and repeating the transaction did not help. Nothing was changed.',
    retry: 'with backoff',
    action: 'Repeat the call.',
  },
  DEADLINE_EXCEEDED: {
    when: 'The deadline of the call passed. Without one, the service allows 30 seconds. If the call writes, its outcome is unknown.',
    retry: 'with backoff',
    action: 'Repeat the call if it has no side effects or a `request_id`, with a longer deadline if it was short.',
  },
  CANCELED: {
    when: 'The client canceled the call or disconnected.',
    retry: 'no',
    action: 'Nothing, if the client meant it.',
  },
  INTERNAL: {
    when: 'A bug in the service. The message has no details; the log has them under the id in the `x-request-id` header.',
    retry: 'no',
    action: 'Report the id of the request.',
  },
} as const satisfies Partial<Record<Reason, Explanation>>;

/** Explains every reason for docs/errors.md, in the order of its groups. A missing one does not compile. */
export const explanations: Readonly<Record<Reason, Explanation>> = {
  ...ofCredentials,
  ...ofProviders,
  ...ofRequests,
  ...ofAccounts,
  ...ofDevices,
  ...ofFactors,
  ...ofCapacity,
};
