# want: 2,1-11: Unknown attribute
descripton = "x"
