/** The page's drawings. All are decoration beside words, so none is read out. */
function Icon({ children, size = 18 }: { children: React.ReactNode; size?: number }) {
  return (
    <svg
      className="icon"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.8"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {children}
    </svg>
  );
}

/** The product's mark: a thread through a knot. */
export function Mark() {
  return (
    <svg className="mark" width="26" height="26" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect width="32" height="32" rx="8" />
      <path d="M7 11.5c4.5-5 9.5-3.5 9.5 1.5s-8 6-8 10.500 8.500 3 13-1.500" />
      <circle cx="24" cy="19" r="2.600" />
    </svg>
  );
}

export const PlusIcon = () => <Icon><path d="M12 5v14M5 12h14" /></Icon>;
export const MenuIcon = () => <Icon size={20}><path d="M4 7h16M4 12h16M4 17h10" /></Icon>;
export const CloseIcon = () => <Icon><path d="M6 6l12 12M18 6L6 18" /></Icon>;
export const SendIcon = () => <Icon><path d="M12 19V5M6 11l6-6 6 6" /></Icon>;
export const StopIcon = () => (
  <Icon><rect x="6.500" y="6.500" width="11" height="11" rx="2" fill="currentColor" stroke="none" /></Icon>
);
export const DownIcon = () => <Icon size={16}><path d="M12 5v14M6 13l6 6 6-6" /></Icon>;
export const ChevronIcon = () => <Icon size={14}><path d="M9 6l6 6-6 6" /></Icon>;
export const CopyIcon = () => (
  <Icon size={15}>
    <rect x="9" y="9" width="11" height="11" rx="2" />
    <path d="M5 15V6a2 2 0 0 1 2-2h8" />
  </Icon>
);
export const CheckIcon = () => <Icon size={15}><path d="M5 12.500l4.500 4.500L19 7.500" /></Icon>;
export const CrossIcon = () => <Icon size={15}><path d="M7 7l10 10M17 7L7 17" /></Icon>;
export const ToolIcon = () => (
  <Icon size={15}>
    <path d="M14.500 6.500a4 4 0 0 0-5.300 5L4 16.700V20h3.300l5.200-5.200a4 4 0 0 0 5-5.300l-2.500 2.500-2.700-.3-.3-2.700z" />
  </Icon>
);
export const DashIcon = () => <Icon size={15}><path d="M6 12h12" /></Icon>;
