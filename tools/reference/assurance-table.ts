import type { DescMethod } from '@bufbuild/protobuf';
import { Access, AssuranceLevel } from '../../gen/gatehouse/v1/policy_pb.ts';
import { type Contract, nameOf } from './contract.ts';
import { policyOf } from './method-errors.ts';

const [begin, end] = ['<!-- assurance:begin -->', '<!-- assurance:end -->'];

/** The text of docs/mfa.md with the table of what each method requires of the session in which it is called. */
export function mfaPage(contract: Contract, text: string): string {
  const [before, rest = ''] = text.split(begin);
  const [, after = ''] = rest.split(end);
  return `${before}${begin}\n${assuranceTable(contract)}\n${end}${after}`;
}

function assuranceTable({ services }: Contract): string {
  const methods = services.flatMap((each) => each.methods).filter(readsSession);
  return [
    '| Method | AAL2 | Authenticated within | Without a required factor |',
    '| --- | --- | --- | --- |',
    ...methods.map(rowOf),
  ].join('\n');
}

/** Whether the method looks at the session of an access token. */
function readsSession(method: DescMethod): boolean {
  const { access, optionalBearer } = policyOf(method);
  return access === Access.USER || access === Access.ADMIN || optionalBearer;
}

function rowOf(method: DescMethod): string {
  const { access, minAssurance, aal2IfEnrolled, maxAuthenticationAge, admitsFactorRequired } = policyOf(method);
  const name = nameOf(method);
  const asksOwners = aal2IfEnrolled || access === Access.ADMIN;
  const level = minAssurance === AssuranceLevel.AAL2 ? 'always' : asksOwners ? 'of users with a factor' : '';
  const age = maxAuthenticationAge ? `${Number(maxAuthenticationAge.seconds) / 60} minutes` : '';
  const restricted = admitsFactorRequired ? 'admitted' : '';
  return `| [${name}](api.md#${name.replace('.', '').toLowerCase()}) | ${level} | ${age} | ${restricted} |`;
}
