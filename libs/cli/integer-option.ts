import { InvalidArgumentError } from 'commander';

/** Reads a whole number between two bounds. */
export function integerOption(bounds: { readonly min: number; readonly max: number }): (text: string) => number {
  return (text) => {
    const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= bounds.min && value <= bounds.max)) throw new InvalidArgumentError(`expected a whole number from ${bounds.min} to ${bounds.max}.`);
    return value;
  };
}
