import { defaultProjectId } from '../project/project.ts';
import { networkOf } from './client-network.ts';

/** The client of a call, and the project that it calls. */
export interface Client {
  readonly address: string;
  readonly projectId: string;
  /** The interface that it calls through, if that has limits of its own. */
  readonly surface?: string | undefined;
}

/** A budget of a client's address. Projects have budgets of their own, because their limits may differ. */
export interface AddressBudget {
  /** Its key in rate_limits, in the rows of the project. */
  readonly key: string;
  /** Its key among the budgets of all projects. */
  readonly name: string;
}

/** `method` is a key of LIMITS. IPv6 addresses are counted by their /64. */
export function addressBudget(method: string, { address, projectId, surface }: Client): AddressBudget {
  const key = `${surface ? `${surface} ` : ''}${method} ${networkOf(address)}`;
  return { key, name: projectId === defaultProjectId ? key : `${projectId} ${key}` };
}

const named = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}) (.*)$/;

/** The project and the key of a budget by its name. A name without a project is of the default project. */
export function rowOfBudget(name: string): { readonly projectId: string; readonly key: string } {
  const [, projectId = defaultProjectId, key = name] = named.exec(name) ?? [];
  return { projectId, key };
}
