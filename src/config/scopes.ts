import { z } from 'zod';
import { AccountService } from '../../gen/gatehouse/v1/account_pb.ts';
import { AdminService } from '../../gen/gatehouse/v1/admin_pb.ts';
import { AuthService } from '../../gen/gatehouse/v1/auth_pb.ts';
import { DeviceService } from '../../gen/gatehouse/v1/device_pb.ts';
import { MfaService } from '../../gen/gatehouse/v1/mfa_pb.ts';
import { SessionService } from '../../gen/gatehouse/v1/session_pb.ts';
import { findClosestName } from './closest-name.ts';

const services = [AuthService, SessionService, AccountService, DeviceService, MfaService, AdminService];
const known = services.flatMap(({ name, methods }) => [name, ...methods.map((method) => `${name}.${method.name}`)]);

/** `Service+Service.Method`: the methods that a backend may call. */
export const scopes = z.string().transform((text, context) => {
  const names = text.split('+');
  for (const [index, name] of names.entries()) {
    if (known.includes(name)) continue;
    context.addIssue(`scope ${index + 1} is no service or Service.Method of the contract${suggest(name)}`);
  }
  if (new Set(names).size < names.length) context.addIssue('a scope stands there twice');
  return names;
});

/** What is wrong with scopes. Undefined if nothing is. */
export function scopesFault(names: readonly string[]): string | undefined {
  const { error } = scopes.safeParse(names.join('+'));
  return error?.issues.map(({ message }) => message).join('; ');
}

// A scope may be a part of a secret that was pasted in the wrong place. So the message holds only names of the contract.
function suggest(written: string): string {
  // As gRPC and Connect write it: gatehouse.v1.SessionService/Introspect.
  const name = written
    .trim()
    .replace(/^\/?(gatehouse\.v1\.)?/i, '')
    .replaceAll(/[/:]/g, '.');
  const meant = findBySpelling(name) ?? findByPart(name);
  if (meant) return `; did you mean ${meant}?`;
  const service = services.find((each) => name.toUpperCase().startsWith(`${each.name.toUpperCase()}.`));
  const { title, names } = service
    ? { title: `${service.name} has`, names: service.methods }
    : { title: 'the services are', names: services };
  return `; ${title} ${names.map((each) => each.name).join(', ')}`;
}

function findBySpelling(name: string): string | undefined {
  const upper = known.map((each) => each.toUpperCase());
  const exact = upper.indexOf(name.toUpperCase());
  if (exact >= 0) return known[exact];
  const closest = findClosestName(name, upper);
  return closest && known[upper.indexOf(closest)];
}

/** A service without the ending `Service`, or a method without its service. */
function findByPart(name: string): string | undefined {
  const [service = '', method = service] = name.toUpperCase().split('.');
  const whole = service === method ? `${service}SERVICE` : `${service}SERVICE.${method}`;
  const upper = known.map((each) => ({ name: each, spelling: each.toUpperCase() }));
  const found = upper.find(({ spelling }) => spelling === whole || spelling.endsWith(`.${method}`));
  return found?.name;
}
