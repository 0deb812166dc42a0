import type { DescEnum, DescMessage, DescMethod, DescService } from '@bufbuild/protobuf';
import { type Contract, nameOf } from './contract.ts';
import { requestExample, responseExample } from './examples.ts';
import { fieldTable, isOutputOnly, sharedMessages } from './fields.ts';
import {
  commonErrors,
  type DocumentedError,
  errorsOf,
  isReadOnly,
  paragraphsOf,
  policyErrors,
} from './method-errors.ts';
import { callersOf, credentialOf, limitsOf } from './policy-words.ts';

const head = `# API reference

The contract of the service: four gRPC services, defined in [proto/gatehouse/v1](../proto/gatehouse/v1). \`npm run generate\`
writes this page from the protos.

## Calling the service

- **gRPC**: the methods are \`gatehouse.v1.SERVICE/METHOD\`. Outside production, server reflection describes them.
- **JSON over HTTP**, by the [Connect protocol](https://connectrpc.com/docs/protocol): POST the request as JSON to
  \`/gatehouse.v1.SERVICE/METHOD\`. Methods without side effects can also be called with GET.

The examples are JSON calls. They need these variables:

\`\`\`sh
api=http://localhost:8080/gatehouse.v1
json='content-type: application/json'
access=...   # an access token of a user
operator=... # an access token of an operator
service=...  # a service key
\`\`\`

- **Names.** This page spells fields as the protos do, \`refresh_token\`. JSON responses spell them \`refreshToken\`; JSON
  requests may use either.
- **Defaults.** JSON responses leave out fields that hold the default of their type: false, 0, an empty string or list.
- **Types.** A timestamp is RFC 3339 in UTC, a duration is a number of seconds with \`s\`, \`bytes\` are base64, and \`int64\` is a
  string.
- **Projects.** The header \`gatehouse-project\` selects the project of a call without a credential. Without it, the call
  belongs to the default project.
- **Request ids.** The service returns the id of each call in the header \`x-request-id\`, and takes one that the caller
  sends.
- **Errors** carry a stable reason: see [docs/errors.md](errors.md).
`;

const policyErrorsText = `These follow from who may call a method. Each method lists those that it can give.`;

/** The text of docs/api.md. */
export function apiPage(contract: Contract): string {
  const { services, enums } = contract;
  const contents = services.map((each) => contentsOf(contract, each)).join('\n');
  return [
    head,
    `## Methods\n\n${contents}`,
    `## Errors of every method\n\n${errorTable(commonErrors(contract))}\n`,
    `## Errors by policy\n\n${policyErrorsText}\n\n${errorTable(policyErrors(contract))}\n`,
    ...services.map((each) => serviceSection(contract, each)),
    '## Messages\n',
    ...sharedMessages(contract).map((each) => messageSection(contract, each)),
    '## Enums\n',
    ...enums.map((each) => enumSection(contract, each)),
  ].join('\n');
}

function contentsOf(contract: Contract, service: DescService): string {
  const rows = service.methods.map((each) => `| ${linkTo(nameOf(each))} | ${summaryOf(contract, each)} |`);
  return `| [${service.name}](#${service.name.toLowerCase()}) | |\n| --- | --- |\n${rows.join('\n')}\n`;
}

function summaryOf(contract: Contract, method: DescMethod): string {
  const [first = ''] = paragraphsOf(contract.commentOf(`${method.parent.typeName}.${method.name}`));
  return first.replace(/(?<=[^.]{3}\.) .*/, '');
}

function serviceSection(contract: Contract, service: DescService): string {
  const text = paragraphsOf(contract.commentOf(service.typeName)).join('\n\n');
  const methods = service.methods.map((each) => methodSection(contract, each));
  return [`## ${service.name}\n`, `${text}\n`, ...methods].join('\n');
}

function methodSection(contract: Contract, method: DescMethod): string {
  const { own, byPolicy } = errorsOf(contract, method);
  const limits = limitsOf(method);
  return [
    `### ${nameOf(method)}\n`,
    `${paragraphsOf(contract.commentOf(`${method.parent.typeName}.${method.name}`)).join('\n\n')}\n`,
    `- **Callers:** ${callersOf(method)}`,
    ...(limits ? [`- **Limits:** ${limits}`] : []),
    ...(isReadOnly(method) ? ['- **Side effects:** none.'] : []),
    '',
    `**Request**${messageBody(contract, method.input)}`,
    `**Response**${messageBody(contract, method.output)}`,
    errorsText(own, byPolicy),
    `**Example**\n\n${curlOf(method)}\n\n${json(responseExample(method))}\n`,
  ].join('\n');
}

function messageBody(contract: Contract, message: DescMessage): string {
  return message.fields.length === 0 ? ': no fields.\n' : `\n\n${fieldTable(contract, message)}\n`;
}

function errorsText(own: readonly DocumentedError[], byPolicy: readonly DocumentedError[]): string {
  const every = '[those of every method](#errors-of-every-method)';
  const policy = byPolicy.map(({ reason }) => `[${reason}](errors.md#${reason.toLowerCase()})`).join(', ');
  if (own.length + byPolicy.length === 0) return `**Errors**: ${every}.\n`;
  return [
    `**Errors**, beside ${every}:\n`,
    ...(own.length > 0 ? [`${errorTable(own)}\n`] : []),
    ...(policy ? [`[By policy](#errors-by-policy): ${policy}.\n`] : []),
  ].join('\n');
}

function errorTable(errors: readonly DocumentedError[]): string {
  const rows = errors.map(({ reason, sentence }) => `| [${reason}](errors.md#${reason.toLowerCase()}) | ${sentence} |`);
  return `| Reason | When |\n| --- | --- |\n${rows.join('\n')}`;
}

function curlOf(method: DescMethod): string {
  const request = onOneLine(requestExample(method));
  if (request.includes("'")) throw new Error(`a quote in the example of ${nameOf(method)} would end the shell's`);
  // The messages of a stream are framed, which curl alone cannot read.
  if (method.methodKind !== 'unary')
    return `\`\`\`sh\nnpx buf curl --schema proto -d '${request}' $api.${nameOf(method).replace('.', '/')}\n\`\`\``;
  const credential = credentialOf(method);
  const header = credential ? ` -H "authorization: Bearer $${credential}"` : '';
  return `\`\`\`sh\ncurl -s $api.${nameOf(method).replace('.', '/')} -H "$json"${header} -d '${request}'\n\`\`\``;
}

function onOneLine(value: object): string {
  const spaced = JSON.stringify(value, null, 1).replace(/\n\s*/g, ' ');
  return spaced.replace(/([{[]) /g, '$1').replace(/ ([}\]])/g, '$1');
}

function json(value: object): string {
  return `\`\`\`json\n${JSON.stringify(value, null, 2)}\n\`\`\``;
}

function messageSection(contract: Contract, message: DescMessage): string {
  const note = isOutputOnly(contract, message) ? 'Output only: the service sets all fields.\n' : '';
  const text = paragraphsOf(contract.commentOf(message.typeName)).join('\n\n');
  return [`### ${message.name}\n`, `${text}\n`, ...(note ? [note] : []), `${fieldTable(contract, message)}\n`].join(
    '\n',
  );
}

function enumSection(contract: Contract, each: DescEnum): string {
  const rows = each.values.map(({ name, number }) => {
    const comment = contract.commentOf(`${each.typeName}.${name}`);
    return `| \`${name}\` | ${number} | ${comment.replaceAll('\n', ' ')} |`;
  });
  const table = `| Value | Number | Description |\n| --- | --- | --- |\n${rows.join('\n')}`;
  return `### ${each.name}\n\n${paragraphsOf(contract.commentOf(each.typeName)).join('\n\n')}\n\n${table}\n`;
}

function linkTo(heading: string): string {
  return `[${heading}](#${heading.toLowerCase().replace('.', '')})`;
}
