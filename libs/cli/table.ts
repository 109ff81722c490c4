import { stripVTControlCharacters } from 'node:util';

/** Columns of a table for people: a title and which side the text keeps to. */
export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
}

/** Lines with columns two spaces apart and no borders, so that `awk` and eyes both read it. Ends with a line end. */
export function renderTable(columns: readonly Column[], rows: readonly (readonly string[])[], paintTitle: (text: string) => string = (text) => text): string {
  const widths = columns.map((column, index) => Math.max(visibleWidth(column.title), ...rows.map((row) => visibleWidth(row[index] ?? ''))));
  const lines = [paintTitle(renderLine(columns, widths, columns.map((column) => column.title)))];
  for (const row of rows) lines.push(renderLine(columns, widths, row));
  return lines.map((line) => `${line}\n`).join('');
}

function renderLine(columns: readonly Column[], widths: readonly number[], cells: readonly string[]): string {
  const padded = columns.map((column, index) => {
    const cell = oneLine(cells[index] ?? '');
    const room = ' '.repeat(Math.max(0, (widths[index] ?? 0) - visibleWidth(cell)));
    return column.align === 'right' ? room + cell : cell + room;
  });
  return padded.join('  ').trimEnd();
}

/** Colour codes take no room. */
function visibleWidth(text: string): number {
  return stripVTControlCharacters(text).length;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ');
}
