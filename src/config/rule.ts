import type { SettingName, Values } from './schema.ts';

/** A fault of a setting that is valid on its own. */
export interface Complaint {
  readonly variable: SettingName;
  readonly why: string;
  readonly allowed: string;
  /** If the setting's own example would not be valid here. */
  readonly example?: string;
}

/** Checks one setting against others. A setting that is not set, or that could not be read, is undefined. */
export type Rule = (values: Partial<Values>) => Complaint | false | undefined;
