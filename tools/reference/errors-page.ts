import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { codeToHttpStatus, codeToString } from '@connectrpc/connect/protocol-connect';
import { Refusal } from '../../src/errors.ts';
import { type Reason, reasons } from '../../src/sdk/reasons.ts';
import { type Contract, nameOf } from './contract.ts';
import { explanations, type Retry } from './explanations.ts';
import { commonErrors, errorsOf } from './method-errors.ts';

const retries: Readonly<Record<Retry, string>> = {
  no: 'No',
  'after the delay': 'After the delay in `RetryInfo`',
  'with backoff': 'With exponential backoff',
};

const head = `# Errors

Every error of the service carries \`google.rpc.ErrorInfo\` with the domain \`gatehouse\` and one of the reasons below. Branch
on the reason: it never changes its meaning, while messages do. Later versions add reasons, so treat an unknown reason by
its code.

- Over gRPC the status has the code, and \`grpc-status-details-bin\` the details.
- Over HTTP the status follows the [Connect protocol](https://connectrpc.com/docs/protocol#error-codes), and the body is JSON:
  \`{"code": "unauthenticated", "message": "...", "details": [{"type": "google.rpc.ErrorInfo", "debug": {"reason": "..."}}]}\`.

Some errors have further details:

- \`google.rpc.BadRequest\` names the fields of INVALID_ARGUMENT and the rule that each violates.
- \`google.rpc.RetryInfo\` and the \`retry-after\` header hold the delay before a retry, where there is one.
- \`google.rpc.PreconditionFailure\` holds the levels of INSUFFICIENT_AAL.

**Retry** says whether the same request can succeed later. "No" means that it fails until something changes. The SDK retries
methods without side effects, and requests with a \`request_id\`, while the service is unavailable ([docs/sdk.md](sdk.md)).
`;

/** The text of docs/errors.md. */
export function errorsPage(contract: Contract): string {
  const rows = reasons.map((reason) => {
    const { code } = new Refusal(reason);
    return `| ${linkTo(reason)} | \`${codeToString(code)}\` | ${codeToHttpStatus(code)} | ${retries[explanations[reason].retry]} |`;
  });
  return [
    head,
    '| Reason | Code | HTTP | Retry |\n| --- | --- | --- | --- |',
    `${rows.join('\n')}\n`,
    ...reasons.map((reason) => section(contract, reason)),
  ].join('\n');
}

function linkTo(reason: Reason): string {
  return `[${reason}](#${reason.toLowerCase()})`;
}

function section(contract: Contract, reason: Reason): string {
  const { code, message } = new Refusal(reason);
  const { when, retry, action, metadata = {} } = explanations[reason];
  const facts = Object.entries(metadata).map(([key, what]) => `\`${key}\`: ${what}`);
  return [
    `## ${reason}\n`,
    `\`${codeToString(code)}\`, HTTP ${codeToHttpStatus(code)}, "${message}"\n`,
    `- **When:** ${when}`,
    `- **Retry:** ${retries[retry]}.`,
    `- **What to do:** ${action}`,
    ...(facts.length > 0 ? [`- **Metadata:** ${facts.join(' ')}`] : []),
    `- **Methods:** ${methodsThatGive(contract, reason)}\n`,
  ].join('\n');
}

function methodsThatGive(contract: Contract, reason: Reason): string {
  if (reason === 'SERVICE_NOT_FOUND') return '`grpc.health.v1.Health.Check`.';
  const gives = (method: DescMethod) => {
    const { own, byPolicy } = errorsOf(contract, method);
    return [...own, ...byPolicy].some((each) => each.reason === reason);
  };
  const lists = contract.services.flatMap((service) => methodsIn(service, service.methods.filter(gives)));
  if (!commonErrors(contract).some((each) => each.reason === reason)) return `${lists.join('; ')}.`;
  return lists.length > 0 ? `Every method, in particular ${lists.join('; ')}.` : 'Every method.';
}

function methodsIn(service: DescService, methods: readonly DescMethod[]): string[] {
  const listed = (some: readonly DescMethod[]) =>
    some.map((each) => `[${nameOf(each)}](${apiPage(nameOf(each))})`).join(', ');
  if (methods.length <= service.methods.length / 2) return methods.length > 0 ? [listed(methods)] : [];
  const others = service.methods.filter((each) => !methods.includes(each));
  const all = `all of [${service.name}](${apiPage(service.name)})`;
  return [others.length > 0 ? `${all} except ${listed(others)}` : all];
}

/** The address of the section of docs/api.md with this heading. */
function apiPage(heading: string): string {
  return `api.md#${heading.toLowerCase().replace('.', '')}`;
}
