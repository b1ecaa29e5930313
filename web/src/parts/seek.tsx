import type { RefObject } from "preact";
import { useRef } from "preact/hooks";
import type { Range } from "../view";
import { RangeChoice } from "./range";

interface Given {
  text: string;
  range: Range;
  label: string;
  placeholder: string;
  field?: RefObject<HTMLInputElement | null>;
  sought: (text: string) => void;
  chosen: (range: Range) => void;
}

/** A text to search for, and the time range that it is searched in. */
export function Seek({ text, range, label, placeholder, field, sought, chosen }: Given) {
  const own = useRef<HTMLInputElement>(null);
  const box = field ?? own;
  return (
    <form
      class="ask"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        sought(box.current!.value);
      }}
    >
      <input ref={box} key={text} name="text" type="search" aria-label={label} placeholder={placeholder} defaultValue={text} spellcheck={false} />
      <RangeChoice range={range} chosen={chosen} />
      <button type="submit" class="main">
        Search
      </button>
    </form>
  );
}
